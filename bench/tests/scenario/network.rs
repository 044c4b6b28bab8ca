//! `[network]` and the faults of the network: what is accepted, what it means for the links, and how a wrong one is refused.

use std::time::Duration;

use bench::emulation::{LinkId, Mesh};
use bench::scenario::schema::{FaultTarget, Scenario};
use bench::scenario::{Loaded, Problem, ScenarioError, Source, load};

const HEAD: &str = "schema = 1\nname = \"case\"\n[load]\nduration = \"30s\"\n";

fn read(body: &str) -> Result<Loaded, ScenarioError> {
    let source = Source::Text {
        name: "case.toml".to_owned(),
        text: format!("{HEAD}{body}"),
    };
    load(&[source], &[])
}

fn scenario(body: &str) -> Scenario {
    read(body)
        .unwrap_or_else(|error| panic!("{error}"))
        .scenario
}

fn mesh(body: &str) -> Mesh {
    scenario(body).mesh().unwrap()
}

fn said(problem: &Problem) -> String {
    let (line, column) = problem.position().unwrap();
    let label = problem.label().map(|label| format!(" <{label}>"));
    format!(
        "{line}:{column} {} ({}){}",
        problem.message(),
        problem.remedy().unwrap_or_default(),
        label.unwrap_or_default()
    )
}

fn refused(body: &str) -> String {
    let error = read(body).expect_err(body);
    assert_eq!(error.problems().len(), 1, "{error}");
    said(&error.problems()[0])
}

const fn ms(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

#[test]
fn without_a_network_and_without_its_faults_there_are_no_links_at_all() {
    assert_eq!(scenario("").mesh(), None);
    let kill = "[[fault]]\nat = \"1s\"\nkind = \"kill\"\ntarget = 0\n";
    assert_eq!(scenario(kill).mesh(), None);
    let cut = "[[fault]]\nat = \"1s\"\nkind = \"partition\"\ntarget = 0\n";
    assert_eq!(scenario(cut).mesh(), Some(Mesh::new(5)));
    assert_eq!(mesh("[network]\n"), Mesh::new(5));
}

#[test]
fn the_default_is_everywhere_and_later_links_lie_over_earlier_ones() {
    let mesh = mesh(
        "[network]\ndefault = { delay = \"10ms\", jitter = \"1ms\" }\n\
         [[network.link]]\nfrom = 3\nto = [0, 1]\ndelay = \"110ms\"\nloss = \"1%\"\nbandwidth = \"200Mbit\"\n\
         [[network.link]]\nto = 1\nloss = \"5%\"\n",
    );
    assert_eq!(mesh.base(0, 2).delay, ms(10));
    assert_eq!(mesh.base(1, 3).delay, ms(10), "links are directed");
    let link = mesh.base(3, 0);
    assert_eq!((link.delay, link.jitter, link.loss), (ms(110), ms(1), 0.01));
    assert_eq!((link.bandwidth, link.queue), (Some(200_000_000), 2_500_000));
    assert_eq!(mesh.base(3, 1).loss, 0.05);
    assert_eq!(mesh.base(2, 1).loss, 0.05);
    assert!(mesh.clients_are_near());
}

#[test]
fn regions_give_half_the_round_trip_each_way_and_begin_again() {
    let body =
        "[network]\nregions = [\"virginia\", \"tokyo\"]\nmatrix = \"aws\"\nclients = \"tokyo\"\n";
    let mesh = mesh(body);
    assert_eq!(mesh.base(0, 1).delay, ms(74));
    assert_eq!(
        mesh.base(1, 2).delay,
        ms(74),
        "replica 2 is in virginia again"
    );
    assert_eq!(mesh.base(0, 2).delay, Duration::from_micros(500));
    assert_eq!(mesh.clients(0).delay, ms(74));
    assert_eq!(mesh.clients(1).delay, Duration::from_micros(500));
    let of_one = mesh.of(1);
    assert_eq!(of_one.last().unwrap().0, LinkId::Clients);
    assert_eq!(of_one.len(), 5);
}

#[test]
fn a_matrix_may_be_a_file_beside_the_scenario() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("mine.csv"), ",a,b\na,0,30\nb,50,0\n").unwrap();
    let path = folder.path().join("case.toml");
    let network = "[network]\nregions = [\"a\", \"b\"]\nmatrix = \"mine.csv\"\n";
    std::fs::write(&path, format!("{HEAD}{network}")).unwrap();
    let mesh = load(&[Source::File(path)], &[])
        .unwrap()
        .scenario
        .mesh()
        .unwrap();
    assert_eq!(
        (mesh.base(0, 1).delay, mesh.base(1, 0).delay),
        (ms(15), ms(25))
    );
}

#[test]
fn the_effective_file_of_a_network_is_the_same_scenario() {
    let body = "[network]\ndefault = { loss = \"0.5%\", reorder = \"10%\", reorder_within = \"20ms\" }\n\
         regions = [\"ohio\", \"paris\", \"seoul\"]\nmatrix = \"aws\"\nclients = \"paris\"\n\
         [[network.link]]\nfrom = [1, 2]\nbandwidth = \"1Mbit\"\nqueue = \"64KiB\"\nmtu = 1300\n\
         [[network.link]]\nto = 4\ndistribution = \"pareto\"\ndelay = \"9ms\"\njitter = \"3ms\"\nduplicate = \"2%\"\ncorrupt = \"1%\"\n\
         [[fault]]\nat = \"1s\"\nkind = \"partition\"\ngroups = [[0, 1], [2]]\none_way = \"out\"\nheal_at = \"2s\"\n\
         [[fault]]\nat = \"3s\"\nkind = \"partition\"\nbridge = 2\n\
         [[fault]]\nat = \"3s\"\nkind = \"partition\"\nring = true\nheal_at = \"4s\"\nevery = \"2s\"\nuntil = \"9s\"\n\
         [[fault]]\nat = \"3s\"\nkind = \"link\"\ntarget = \"primary\"\nto = 3\nloss = \"20%\"\n\
         [[fault]]\nat = \"3s\"\nkind = \"link\"\nfrom = 0\nmtu = 1200\nheal_at = \"5s\"\n";
    let loaded = read(body).unwrap();
    let text = loaded.effective_toml();
    let source = Source::Text {
        name: "effective.toml".to_owned(),
        text: text.clone(),
    };
    let again = load(&[source], &[]).unwrap_or_else(|error| panic!("{error}\n{text}"));
    assert_eq!(again.scenario, loaded.scenario, "{text}");
    assert_eq!(loaded.scenario.faults.len(), 5);
}

#[test]
fn a_wrong_network_is_named_with_its_place_and_remedy() {
    for (body, expected) in [
        (
            "[network]\nregion = [\"ohio\"]\n",
            "6:1 unknown key `region` in [network] (write `regions`) <did you mean `regions`?>",
        ),
        (
            "[network]\nregions = [\"ohio\"]\n",
            "6:11 `network.regions` needs a `matrix` of round trips (add matrix = \"aws\", or the path of a CSV file) <regions of what?>",
        ),
        (
            "[network]\nregions = [\"irelnd\"]\nmatrix = \"aws\"\n",
            "6:11 `network.regions`: \"irelnd\" is no place of the matrix \"aws\" (it has virginia, ohio, california, oregon, canada, saopaulo, ireland, london, paris, frankfurt, stockholm, mumbai, singapore, sydney, tokyo, seoul) <did you mean \"ireland\"?>",
        ),
        (
            "[network]\nmatrix = \"aws\"\n",
            "6:1 `network.matrix` does not apply: without regions nothing is looked up in it (add regions = [...]) <does not apply>",
        ),
        (
            "[network]\nclients = \"ohio\"\n",
            "6:11 `network.clients` names a region, and the replicas have none (add regions and a matrix, or remove it: then clients are beside the replicas)",
        ),
        (
            "[network]\nregions = [\"ohio\"]\nmatrix = \"azs\"\n",
            "7:10 `network.matrix`: \"azs\" is no known matrix and no file: No such file or directory (os error 2) (did you mean \"aws\"?)",
        ),
        (
            "[network]\nregions = [\"a\", \"b\", \"c\", \"d\", \"e\", \"f\"]\nmatrix = \"aws\"\n",
            "6:11 `network.regions`: there are 6 regions for 5 replicas (write 5 at most; with fewer it begins again)",
        ),
        (
            "[[network.link]]\nfrom = 5\ndelay = \"1ms\"\n",
            "6:8 `network.link.0.from`: there is no replica 5 among 5 (replicas are 0 to 4)",
        ),
        (
            "[[network.link]]\nfrom = 0\ndelay = \"20s\"\n",
            "7:9 `network.link.0.delay`: 20s is out of bounds (delay is 0ms to 10s)",
        ),
        (
            "[[network.link]]\nbandwith = \"1Mbit\"\n",
            "6:1 unknown key `bandwith` in [[network.link]] (write `bandwidth`) <did you mean `bandwidth`?>",
        ),
        (
            "[network]\ndefault = { mtu = 576 }\n",
            "6:19 `network.default.mtu`: 576 is out of bounds (it is 1200 to 6500)",
        ),
    ] {
        assert_eq!(refused(body), expected, "{body}");
    }
}

#[test]
fn a_wrong_fault_of_the_network_is_named_with_its_place_and_remedy() {
    let one = "(write one of groups = [[0, 1, 2, 3], [4]], bridge = 2, ring = true and target = \"primary\") <this one>";
    for (lines, expected) in [
        (
            "kind = \"partition\"\n",
            format!("7:8 a partition does not say who is cut off from whom {one}"),
        ),
        (
            "kind = \"partition\"\nring = true\ntarget = 0\n",
            format!("7:8 a partition says in several ways who is cut off from whom {one}"),
        ),
        (
            "kind = \"partition\"\ngroups = [[0, 1, 2, 3, 4]]\n",
            "7:8 nobody is left on the other side (name fewer replicas, or a second group) <this one>".to_owned(),
        ),
        (
            "kind = \"partition\"\ngroups = [[0, 1], [1]]\n",
            "8:10 `fault.0.groups`: a replica is in two groups (for example groups = [[0, 1, 2, 3], [4]]; bridge = 2 is in both)".to_owned(),
        ),
        (
            "kind = \"partition\"\ngroups = [0, 1]\n",
            "8:10 `fault.0.groups`: must be a list of lists of replicas, not a list (for example groups = [[0, 1, 2, 3], [4]]) <an integer inside>".to_owned(),
        ),
        (
            "kind = \"partition\"\nring = true\none_way = \"in\"\n",
            "7:8 `one_way` needs a side to look from, and a ring has none (remove it, or write groups or a target) <this one>".to_owned(),
        ),
        (
            "kind = \"partition\"\ntarget = 0\nheal_at = \"4s\"\n",
            "9:11 `fault.0.heal_at`: 4s is not after `at` (5s) (it is a time like `at`, not a distance from it) <too early>".to_owned(),
        ),
        (
            "kind = \"link\"\nfrom = 0\n",
            "7:8 a link fault changes nothing about the link (write at least one of delay, jitter, distribution, loss, duplicate, reorder, reorder_within, bandwidth, queue, mtu, corrupt) <this one>".to_owned(),
        ),
        (
            "kind = \"link\"\ntarget = 0\nfrom = 0\nloss = \"1%\"\n",
            "7:8 `target` and `from` both say who sends (write target (also \"primary\") or from, not both) <this one>".to_owned(),
        ),
        (
            "kind = \"link\"\nfrom = 0\nmtu = 1200\n",
            "9:7 `fault.0.mtu`: on loopback QUIC never sends smaller datagrams, so this would cut the link (add a [network] table, if only an empty one: then QUIC looks for the MTU)".to_owned(),
        ),
        (
            "kind = \"link\"\nloss = \"1%\"\nwipe = true\n",
            "9:1 unknown key `wipe` in [[fault]] (known here: at, bandwidth, corrupt, delay, distribution, duplicate, every, from, heal_at, jitter, kind, loss, mtu, queue, reorder, reorder_within, target, to, until) <unknown>".to_owned(),
        ),
    ] {
        assert_eq!(refused(&format!("[[fault]]\nat = \"5s\"\n{lines}")), expected, "{lines}");
    }
}

#[test]
fn the_budget_counts_who_is_cut_off_and_no_slow_link() {
    let warnings = |lines: &str| -> Vec<String> {
        let loaded = read(&format!(
            "[[fault]]\nat = \"5s\"\nheal_at = \"8s\"\n{lines}"
        ))
        .unwrap();
        let said = loaded.warnings.iter();
        said.map(|one| one.message().to_owned()).collect()
    };
    let excess = |count| {
        vec![format!(
            "more than f replicas faulty between 5 s and 8 s ({count} of n = 5, f = 1): this run promises safety, not liveness"
        )]
    };
    assert_eq!(
        warnings("kind = \"partition\"\ngroups = [[0, 1, 2, 3], [4]]\n"),
        [""; 0]
    );
    assert_eq!(
        warnings("kind = \"partition\"\ntarget = \"primary\"\n"),
        [""; 0]
    );
    assert_eq!(
        warnings("kind = \"partition\"\ngroups = [[0, 1], [2, 3, 4]]\n"),
        excess(2)
    );
    assert_eq!(warnings("kind = \"partition\"\nbridge = 2\n"), excess(2));
    assert_eq!(warnings("kind = \"partition\"\nring = true\n"), excess(3));
    assert_eq!(warnings("kind = \"link\"\nloss = \"50%\"\n"), [""; 0]);
}

#[test]
fn a_partition_holds_those_outside_its_largest_group() {
    let body = "[[fault]]\nat = \"5s\"\nkind = \"partition\"\ngroups = [[1, 2, 3, 4]]\n";
    let target = scenario(body).faults[0].target.clone();
    assert_eq!(target, FaultTarget::Replicas(vec![0]));
}
