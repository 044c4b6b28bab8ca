//! `[[byzantine]]`: what is read, and how what is wrong is told.

use std::time::Duration;

use bench::scenario::schema::{Liars, Scenario};
use bench::scenario::{Problem, Source, json_schema, load};

fn source(entries: &str) -> Source {
    Source::Text {
        name: "lies.toml".to_owned(),
        text: format!("schema = 1\nname = \"lies\"\n[load]\nduration = \"10s\"\n{entries}"),
    }
}

fn read(entries: &str) -> Scenario {
    load(&[source(entries)], &[])
        .unwrap_or_else(|error| panic!("{error}"))
        .scenario
}

fn problems(entries: &str) -> Vec<Problem> {
    let error = load(&[source(entries)], &[]).expect_err("it is wrong");
    error.problems().to_vec()
}

/// The only problem: its place, its offending text, and all it says.
fn problem(entries: &str) -> ((usize, usize), String, String) {
    let all = problems(entries);
    assert_eq!(all.len(), 1, "{all:?}");
    let one = &all[0];
    let said = [
        one.message(),
        one.label().unwrap_or(""),
        one.remedy().unwrap_or(""),
    ]
    .join(" | ");
    (
        one.position().unwrap(),
        one.offending().unwrap().to_owned(),
        said,
    )
}

#[test]
fn an_entry_says_who_lies_how_and_when() {
    let scenario = read(
        "[[byzantine]]\nreplica = \"primary\"\nbehavior = \"equivocate\"\nwhen = { from = \"4s\", to = \"8s\" }\nargs = { ways = 3 }\n\
         [[byzantine]]\nreplica = [0, 3]\nbehavior = \"silent\"\n",
    );
    let [first, second] = scenario.byzantine.as_slice() else {
        panic!("two entries")
    };
    assert_eq!(
        (&first.replica, first.behavior.name()),
        (&Liars::Primary, "equivocate")
    );
    let s = Duration::from_secs;
    assert_eq!(first.window(), (s(4), Some(s(8))));
    assert_eq!(second.window(), (s(0), None));
    let args = serde_json::to_value(&first.behavior).unwrap();
    assert_eq!(
        (&args["args"]["ways"], &args["args"]["votes"]),
        (&3.into(), &true.into())
    );
    let plan = scenario.byzantine_plan(0, 9).unwrap();
    assert_eq!((plan.behaviours.len(), plan.seed), (2, 9));
    assert_eq!(plan.colluders, [3]);
    assert!(scenario.byzantine_plan(1, 9).is_none());
    assert_eq!(Vec::from_iter(scenario.byzantine_replicas()), [0, 3]);
}

#[test]
fn the_effective_file_gives_the_same_scenario() {
    let text = "[[byzantine]]\nreplica = [1]\nbehavior = \"slow-primary\"\nwhen = { from = \"4s\", as = \"primary\", views = [0, 9] }\n\
                [[byzantine]]\nreplica = 1\nbehavior = \"withhold-votes\"\n\
                [[fault]]\nat = \"1s\"\nkind = \"pause\"\ntarget = 1\nresume_at = \"2s\"\n";
    let loaded = load(&[source(text)], &[]).unwrap();
    let effective = Source::Text {
        name: "effective.toml".to_owned(),
        text: loaded.effective_toml(),
    };
    let again = load(&[effective], &[])
        .unwrap_or_else(|error| panic!("{error}\n{}", loaded.effective_toml()));
    assert_eq!(again.scenario, loaded.scenario);
    let explained = loaded.explain();
    assert!(
        explained.contains("behavior = \"slow-primary\""),
        "{explained}"
    );
    assert!(explained.contains("lies.toml:"), "{explained}");
}

#[test]
fn a_misspelt_behaviour_is_shown_with_the_nearest_one() {
    let (place, offending, said) =
        problem("[[byzantine]]\nreplica = 0\nbehavior = \"equivocat\"\nargs = { x = 1 }\n");
    assert_eq!((place, offending.as_str()), ((7, 12), "\"equivocat\""));
    assert!(
        said.contains("did you mean \"equivocate\"?") && said.contains("bench fault list"),
        "{said}"
    );
}

#[test]
fn a_wrong_argument_is_shown_at_its_place() {
    let entry = |args: &str| {
        format!("[[byzantine]]\nreplica = 0\nbehavior = \"equivocate\"\nargs = {{ {args} }}\n")
    };
    let (place, offending, said) = problem(&entry("way = 3"));
    assert_eq!((place, offending.as_str()), ((8, 10), "way"));
    assert!(said.contains("did you mean `ways`?"), "{said}");
    let (place, offending, said) = problem(&entry("votes = true, ways = \"many\""));
    assert_eq!((place, offending.as_str()), ((8, 31), "\"many\""));
    assert!(
        said.contains("byzantine.0.args.ways") && said.contains("describe equivocate"),
        "{said}"
    );
}

#[test]
fn a_wrong_condition_is_shown_at_its_place() {
    let entry = |when: &str| {
        format!("[[byzantine]]\nreplica = 0\nbehavior = \"silent\"\nwhen = {{ {when} }}\n")
    };
    let (_, offending, said) = problem(&entry("from = 4"));
    assert_eq!(offending, "4", "{said}");
    let (_, offending, said) = problem(&entry("until = \"4s\""));
    assert_eq!(offending, "until");
    assert!(said.contains("until_detected"), "{said}");
    let (_, _, said) = problem(&entry("probability = 30.0"));
    assert!(said.contains("0 to 1"), "{said}");
    let (_, _, said) = problem(&entry("from = \"8s\", to = \"4s\""));
    assert!(said.contains("swap them"), "{said}");
    let (_, _, said) = problem(&entry("from = \"11s\""));
    assert!(said.contains("within the load (10 s)"), "{said}");
}

#[test]
fn who_lies_must_exist_and_be_named_once() {
    let entry =
        |replica: &str| format!("[[byzantine]]\nreplica = {replica}\nbehavior = \"silent\"\n");
    for (replica, says) in [
        ("5", "no replica 5 among 5"),
        ("[]", "empty"),
        ("[1, 1]", "twice"),
        ("\"primry\"", "did you mean \"primary\"?"),
        ("true", "a replica, a list of them"),
    ] {
        let (_, _, said) = problem(&entry(replica));
        assert!(said.contains(says), "{replica}: {said}");
    }
    let missing = problems("[[byzantine]]\nargs = {}\n");
    let said: Vec<&str> = missing.iter().map(Problem::message).collect();
    assert!(
        said.iter().any(|one| one.contains("no `replica`")),
        "{said:?}"
    );
    assert!(
        said.iter().any(|one| one.contains("no `behavior`")),
        "{said:?}"
    );
}

#[test]
fn more_than_f_liars_are_a_warning_at_their_place() {
    let text = "[[byzantine]]\nreplica = [0, 1]\nbehavior = \"silent\"\nwhen = { from = \"2s\", to = \"3s\" }\n";
    let loaded = load(&[source(text)], &[]).unwrap();
    let [warning] = loaded.warnings.as_slice() else {
        panic!("{:?}", loaded.warnings)
    };
    assert!(
        warning.message().contains("between 2 s and 3 s"),
        "{warning}"
    );
    assert_eq!(warning.offending(), Some("[0, 1]"));
}

#[test]
fn the_schema_knows_every_behaviour_and_its_arguments() {
    let schema = json_schema();
    let byzantine = &schema["$defs"]["Byzantine"];
    assert_eq!(
        schema["properties"]["byzantine"]["items"]["$ref"],
        "#/$defs/Byzantine"
    );
    let names = byzantine["properties"]["behavior"]["enum"]
        .as_array()
        .unwrap();
    let rules = byzantine["allOf"].as_array().unwrap();
    assert_eq!(names.len(), rules.len());
    assert!(names.contains(&"equivocate".into()));
    let of_equivocate = rules
        .iter()
        .find(|rule| rule["if"]["properties"]["behavior"]["const"] == "equivocate")
        .unwrap();
    let keys = &of_equivocate["then"]["properties"]["args"]["propertyNames"]["enum"];
    assert!(keys.as_array().unwrap().contains(&"ways".into()), "{keys}");
}
