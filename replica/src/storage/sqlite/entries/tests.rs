#![allow(clippy::unwrap_used)]
use super::*;

#[test]
fn every_place_is_in_the_range_of_its_shard() {
    let mut keys = [0; SHARDS as usize];
    for n in 0..4000 {
        let place = place_of(format!("key {n}").as_bytes());
        let shard = shard_of(place);
        keys[usize::try_from(shard).unwrap()] += 1;
        let holds = |shard| places_of(shard).contains(&place);
        assert!((0..SHARDS).all(|other| holds(other) == (other == shard)));
    }
    assert!(
        keys.iter().all(|keys| (400..600).contains(keys)),
        "{keys:?}"
    );
    assert_eq!(
        (*places_of(0).start(), *places_of(SHARDS - 1).end()),
        (0, Place::MAX)
    );
}

#[test]
fn a_whole_state_is_in_the_order_of_its_places_and_complete() {
    let keys: Vec<String> = (0..500).map(|n| format!("key {n}")).collect();
    let change = |key: &String| Change::encoded(Bytes::from(key.clone()), None);
    let changes: Vec<Change> = keys.iter().map(change).collect();
    let ordered = InOrder::of(&changes).map(|(place, key, change)| {
        assert_eq!((place, &key), (place_of(&key), &change.key()));
        (place, key)
    });
    let ordered: Vec<(Place, Bytes)> = ordered.collect();
    assert!(ordered.is_sorted_by(|one, other| one < other));
    assert_eq!(ordered.len(), keys.len());
}
