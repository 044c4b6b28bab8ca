//! The `[sweep]` table: which cells it makes, and what is said about one that is wrong.

use bench::scenario::{Cell, Loaded, ScenarioError, Source, json_schema, load, load_over};

const HEAD: &str = "schema = 1\nname = \"s\"\n";

fn read(text: &str, over: &[&str]) -> Result<Loaded, ScenarioError> {
    let source = Source::Text {
        name: "s.toml".to_owned(),
        text: format!("{HEAD}{text}"),
    };
    let over: Vec<String> = over.iter().map(|one| (*one).to_owned()).collect();
    load_over(&[source], &[], &over)
}

fn cells(text: &str, over: &[&str]) -> Vec<Cell> {
    let loaded = read(text, over).unwrap_or_else(|error| panic!("{error}"));
    loaded.cells().unwrap()
}

fn names(cells: &[Cell]) -> Vec<&str> {
    cells.iter().map(|cell| cell.name.as_str()).collect()
}

#[test]
fn variants_and_axes_make_every_combination_in_the_order_of_the_text() {
    let text = "[sweep.over]\n\"load.rate\" = [\"100/s\", \"200/s\"]\n\"cluster.n\" = [4, 5]\n\
                [[sweep.variant]]\nname = \"a\"\n[[sweep.variant]]\nname = \"b\"\n\
                set = { \"workload.records\" = 7, load = { clients = 3 } }\n";
    let cells = cells(text, &[]);
    assert_eq!(
        names(&cells),
        [
            "a rate=100/s n=4",
            "a rate=100/s n=5",
            "a rate=200/s n=4",
            "a rate=200/s n=5",
            "b rate=100/s n=4",
            "b rate=100/s n=5",
            "b rate=200/s n=4",
            "b rate=200/s n=5",
        ]
    );
    let last = &cells[7];
    let scenario = &last.loaded.scenario;
    assert_eq!(
        (
            scenario.cluster.n,
            scenario.load.clients,
            scenario.workload.records
        ),
        (5, 3, 7)
    );
    assert_eq!(last.directory, "b_rate=200-s_n=5");
    assert!(scenario.sweep.is_none());
}

#[test]
fn the_command_line_adds_axes_and_replaces_those_of_the_scenario() {
    let text = "[sweep]\nover = { load.clients = [1, 2] }\n";
    let over = ["load.clients=8,16", "load.rate=100/s,200/s"];
    assert_eq!(
        names(&cells(text, &over)),
        [
            "clients=8 rate=100/s",
            "clients=8 rate=200/s",
            "clients=16 rate=100/s",
            "clients=16 rate=200/s"
        ]
    );
    assert_eq!(cells("", &["load.clients=8,16"]).len(), 2);
    assert!(cells("", &[]).is_empty());
}

#[test]
fn what_is_excluded_is_not_run() {
    let text = "[sweep]\nover = { cluster.n = [4, 5], load.clients = [1, 2] }\n\
                exclude = [{ cluster.n = 4, load.clients = 2 }]\n";
    assert_eq!(
        names(&cells(text, &[])),
        ["n=4 clients=1", "n=5 clients=1", "n=5 clients=2"]
    );
}

#[test]
fn the_effective_file_has_the_same_sweep() {
    let text = "[sweep.over]\n\"load.rate\" = [\"100/s\", \"200/s\"]\n\"cluster.n\" = [4, 5]\n\
                [[sweep.variant]]\nname = \"a\"\nset = { workload.key = { dist = \"uniform\" } }\n\
                [[sweep.exclude]]\nvariant = \"a\"\n\"cluster.n\" = 4\n";
    let first = read(text, &[]).unwrap_or_else(|error| panic!("{error}"));
    let effective = first.effective_toml();
    let source = |text| Source::Text {
        name: "effective.toml".to_owned(),
        text,
    };
    let again = load(&[source(effective.clone())], &[])
        .unwrap_or_else(|error| panic!("{error}\n{effective}"));
    assert_eq!(again.scenario, first.scenario, "{effective}");
    assert_eq!(again.effective_toml(), effective);
    assert_eq!(
        names(&again.cells().unwrap()),
        names(&first.cells().unwrap()),
        "axes keep their order"
    );
    let explained = first.explain();
    assert!(explained.contains("# s.toml:4"), "{explained}");
    let again = load(&[source(explained)], &[]).unwrap();
    assert_eq!(again.scenario, first.scenario);
}

#[test]
fn what_is_wrong_is_shown_where_it_stands() {
    for (text, over, place, words) in [
        (
            "[sweep.over]\n\"load.rat\" = [\"1/s\"]\n",
            &[][..],
            "s.toml:4:1",
            "did you mean `rate`?",
        ),
        (
            "[sweep.over]\n\"load.rate\" = [\"100/s\", \"fast\"]\n",
            &[],
            "s.toml:4:25",
            "`load.rate`",
        ),
        (
            "[sweep.over]\n\"load.rate\" = \"100/s\"\n",
            &[],
            "s.toml:4",
            "a list of values",
        ),
        (
            "[sweep.over]\n\"load.rate\" = []\n",
            &[],
            "s.toml:4",
            "0 values",
        ),
        (
            "[sweep.over]\n\"load.clients\" = [1, 1]\n",
            &[],
            "s.toml:4:22",
            "twice",
        ),
        (
            "[sweep]\novr = {}\n",
            &[],
            "s.toml:4:1",
            "did you mean `over`?",
        ),
        ("[sweep]\n", &[], "s.toml", "varies nothing"),
        (
            "[sweep]\nvariant = [{ set = {} }]\n",
            &[],
            "s.toml:4",
            "without a name",
        ),
        (
            "[sweep]\nvariant = [{ name = \"a/b\" }]\n",
            &[],
            "s.toml:4",
            "cannot name a directory",
        ),
        (
            "[sweep]\nvariant = [{ name = \"a\" }, { name = \"a\" }]\n",
            &[],
            "s.toml:4",
            "twice",
        ),
        (
            "[sweep]\nvariant = [{ name = \"a\", sett = {} }]\n",
            &[],
            "s.toml:4",
            "did you mean `set`?",
        ),
        (
            "[sweep]\nover = { cluster.n = [4, 5] }\nexclude = [{ cluster.n = 6 }]\n",
            &[],
            "s.toml:5",
            "6 is no value of `cluster.n`",
        ),
        (
            "[sweep]\nover = { cluster.n = [4] }\nexclude = [{ cluster.n = 4 }]\n",
            &[],
            "s.toml",
            "leaves nothing",
        ),
        ("", &["load.clients"], "--over:1:1", "has no values"),
        ("", &["load.clients=1,,2"], "--over:1:1", "an empty value"),
        (
            "",
            &["load.clients=1,none"],
            "--over:1:16",
            "`load.clients`",
        ),
        (
            "",
            &["name.x=1,2"],
            "--over:1:1",
            "so nothing can be set inside it",
        ),
        (
            "[sweep]\nvariant = [{ name = \"a\", set = { cluster.n = 3 } }]\n",
            &[],
            "s.toml:4",
            "n = 3 replicas cannot",
        ),
    ] {
        let error = match read(text, over) {
            Ok(_) => panic!("accepted: {text} {over:?}"),
            Err(error) => error,
        };
        let said: Vec<String> = error
            .problems()
            .iter()
            .map(|one| {
                format!(
                    "{one} {} {}",
                    one.label().unwrap_or(""),
                    one.remedy().unwrap_or("")
                )
            })
            .collect();
        let said = said.join("\n");
        assert!(
            said.contains(place) && said.contains(words),
            "{text} {over:?}: {said}"
        );
    }
}

/// `--set` decides that what the sweep varies does not apply: cells that differ in name only would be compared.
#[test]
fn what_a_sweep_varies_is_never_ignored() {
    for (text, set, what) in [
        (
            "[[sweep.variant]]\nname = \"fast\"\nset = { cluster.fast_quorum = \"strong\" }\n",
            "cluster.protocol=pbft",
            "`cluster.fast_quorum` does not apply",
        ),
        (
            "[load]\nmodel = \"open\"\nrate = \"5/s\"\n[sweep.over]\n\"load.rate\" = [\"5/s\", \"9/s\"]\n",
            "load.model=closed",
            "`load.rate` does not apply",
        ),
        (
            "[sweep.over]\nworkload.mix = [{ read = 1.0 }, { read = 0.5, update = 0.5 }]\n",
            "workload={ kind = \"ycsb\", preset = \"A\" }",
            "`workload.mix` does not apply",
        ),
    ] {
        let source = Source::Text {
            name: "s.toml".to_owned(),
            text: format!("{HEAD}{text}"),
        };
        let error = load_over(&[source], &[set.to_owned()], &[]).unwrap_err();
        assert!(error.to_string().contains(what), "{set}: {error}");
        assert!(error.to_string().contains("s.toml:"), "{error}");
    }
}

/// The sweep goes before the file that it is in: a switch of kind leaves behind what belonged to the other one.
#[test]
fn what_a_cell_switches_off_is_ignored_with_a_warning() {
    let open = "[load]\nmodel = \"open\"\nrate = \"5/s\"\n";
    let cells = cells(
        &format!("{open}[sweep.over]\nload.model = [\"open\", \"closed\"]\n"),
        &[],
    );
    let [open, closed] = &cells[..] else {
        panic!("{cells:?}")
    };
    assert!(open.loaded.warnings.is_empty());
    let [warning] = &closed.loaded.warnings[..] else {
        panic!("{:?}", closed.loaded.warnings)
    };
    assert!(
        warning.message().starts_with("`load.rate` does not apply"),
        "{warning}"
    );
}

#[test]
fn a_value_that_is_wrong_in_many_cells_is_named_once() {
    let text = "[sweep]\nover = { load.clients = [0], cluster.n = [4, 5, 6, 7] }\n";
    let error = read(text, &[]).unwrap_err();
    assert_eq!(error.problems().len(), 1, "{error}");
}

#[test]
fn a_sweep_has_a_bound() {
    let values: Vec<String> = (1..=100).map(|n| n.to_string()).collect();
    let list = values.join(", ");
    let text = format!("[sweep]\nover = {{ load.clients = [{list}], seed = [{list}] }}\n");
    let error = read(&text, &[]).unwrap_err();
    assert!(error.to_string().contains("1000 at most"), "{error}");
}

#[test]
fn editors_know_the_table() {
    let schema = json_schema().to_string();
    for key in ["\"exclude\"", "\"variant\"", "\"over\""] {
        assert!(schema.contains(key), "{key}");
    }
}
