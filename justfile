# Everyday commands (https://just.systems). Each is a line that can also be typed.

# List the recipes.
default:
    @just --list

# The whole gate, exactly as CI runs it.
verify:
    .ci/run

# Five replicas under load for twelve seconds, and a report.
run *ARGS:
    cargo run --release --bin bench -- run {{ARGS}}

# All tests.
test:
    cargo test --workspace

# What a commit needs before it is made; quicker than `verify`.
check:
    cargo fmt --all --check
    cargo clippy --workspace --all-targets -- -D warnings

# A longer sweep of simulated clusters: just sweep 0 5000
sweep FROM TO:
    SEEDS={{FROM}}..{{TO}} cargo test --release -p simulator --test sweep

# Short schedules of the simulator: just campaign 0 1000000
campaign FROM TO:
    SCHEDULES={{FROM}}..{{TO}} cargo test --release -p simulator --test campaign -- --nocapture

# Break every rule that must not be broken, and see who notices; writes docs/mutants.md.
mutants:
    UPDATE=1 cargo test -p hunt mutants -- --nocapture

# The model of whole replicas without bounds: hours.
model:
    FULL=1 cargo test --release -p hunt modelling -- --nocapture

# Licences, bans and sources of the dependencies, and the advisories.
deny:
    cargo deny check
