//! A key file is written once, for its owner alone, and read only if it still is so.
#![allow(clippy::unwrap_used, reason = "a failed step fails the test")]
#![cfg(feature = "files")]

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use crypto::SecretKey;
use crypto::files::{KeyFileError, generate, read_secret, write_secret};

fn write_raw(path: &Path, contents: &[u8], mode: u32) {
    fs::write(path, contents).unwrap();
    fs::set_permissions(path, Permissions::from_mode(mode)).unwrap();
}

#[test]
fn a_written_key_comes_back_and_its_file_is_the_owners_alone() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("replica-1.key");
    let key = generate().unwrap();
    write_secret(&path, &key).unwrap();
    assert_eq!(
        fs::metadata(&path).unwrap().permissions().mode() & 0o7777,
        0o600
    );
    assert_eq!(read_secret(&path).unwrap().seed(), key.seed());
}

#[test]
fn the_text_of_a_key_file_is_the_one_written_down_here() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("key");
    write_secret(&path, &SecretKey::from_seed(&[0xa1; 32])).unwrap();
    let text = format!(
        "quintet secret key, ed25519 seed, keep private\n{}\n",
        "a1".repeat(32)
    );
    assert_eq!(fs::read_to_string(&path).unwrap(), text);
}

#[test]
fn generated_keys_differ() {
    assert_ne!(generate().unwrap().seed(), generate().unwrap().seed());
}

#[test]
fn a_key_is_never_overwritten() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("key");
    let first = SecretKey::from_seed(&[1; 32]);
    write_secret(&path, &first).unwrap();
    let second = write_secret(&path, &SecretKey::from_seed(&[2; 32]));
    assert!(
        matches!(&second, Err(KeyFileError::Exists(named)) if *named == path),
        "{second:?}"
    );
    assert_eq!(read_secret(&path).unwrap().seed(), first.seed());
}

#[test]
fn a_file_that_others_may_use_is_refused_with_the_remedy() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("key");
    write_secret(&path, &SecretKey::from_seed(&[1; 32])).unwrap();
    for mode in [0o640, 0o604, 0o644, 0o620, 0o601, 0o610, 0o666, 0o777] {
        fs::set_permissions(&path, Permissions::from_mode(mode)).unwrap();
        let error = read_secret(&path).unwrap_err().to_string();
        assert!(
            error.contains(&format!("chmod 600 {}", path.display())),
            "{mode:o}: {error}"
        );
    }
    for mode in [0o600, 0o400] {
        fs::set_permissions(&path, Permissions::from_mode(mode)).unwrap();
        read_secret(&path).unwrap();
    }
}

#[test]
fn a_malformed_file_is_refused_without_showing_its_contents() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("key");
    write_secret(&path, &SecretKey::from_seed(&[0xa1; 32])).unwrap();
    let good = fs::read(&path).unwrap();
    let text = String::from_utf8(good.clone()).unwrap();
    let mut wrong: Vec<Vec<u8>> = (0..good.len()).map(|len| good[..len].to_vec()).collect();
    wrong.push([good.as_slice(), b"\n"].concat());
    wrong.push([good.as_slice(), good.as_slice()].concat());
    wrong.push(text.replace("a1a1", "a1g1").into_bytes());
    wrong.push(text.replace("secret", "public").into_bytes());
    wrong.push(text.replace('\n', "\r\n").into_bytes());
    wrong.push(vec![0xff; good.len()]);
    for contents in wrong {
        write_raw(&path, &contents, 0o600);
        let error = read_secret(&path).unwrap_err();
        assert!(matches!(error, KeyFileError::Malformed { .. }), "{error}");
        let error = error.to_string();
        assert!(error.contains(&path.display().to_string()), "{error}");
        assert!(!error.contains("a1a1"), "{error}");
    }
    write_raw(&path, &good, 0o600);
    read_secret(&path).unwrap();
}

#[test]
fn a_missing_file_or_directory_is_named_in_the_error() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("none").join("key");
    for error in [
        read_secret(&path).unwrap_err(),
        write_secret(&path, &SecretKey::from_seed(&[1; 32])).unwrap_err(),
    ] {
        assert!(matches!(error, KeyFileError::Io { .. }), "{error}");
        assert!(
            error.to_string().contains(&path.display().to_string()),
            "{error}"
        );
    }
    let error = read_secret(dir.path()).unwrap_err();
    assert!(
        matches!(error, KeyFileError::Malformed { .. }),
        "a directory: {error}"
    );
}
