//! Typed operations: one method for each, one result type for each.

use std::path::Path;
use std::time::Duration;

use consensus::client::SubmitError;
use consensus::{ByteList, Grade, SeqNo};
use crypto::codec::Blob;
use kv::{Branch, Entry, Expect, Op, OpResult, SimpleResult, Txn, Version};
use network::ClusterFile;

use crate::completion::Completion;
use crate::error::{ConnectError, OperationError, RequestError};
use crate::hub::{ClientHandle, Hub, HubSettings};

/// How long [`Client::connect`] waits for the cluster.
const CONNECT_PATIENCE: Duration = Duration::from_secs(10);

/// A client with one key.
#[derive(Debug)]
pub struct Client {
    hub: Hub,
    handle: ClientHandle,
    /// How operations that do nothing but read are executed; none: ordered.
    reads: Option<Grade>,
}

/// What a read found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Read {
    /// The value.
    pub value: Blob,
    /// Where it was last modified.
    pub version: Version,
}

/// A part of a scan.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ScanPage {
    /// In ascending order of keys.
    pub entries: Vec<Entry>,
    /// Where to go on; none at the end of the range.
    pub next: Option<Blob>,
}

/// What became of a transaction.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TxnOutcome {
    /// The list that was executed.
    pub branch: Branch,
    /// Whether it took effect; if not, an operation of it failed.
    pub committed: bool,
    /// One result for each of its operations.
    pub results: Vec<SimpleResult>,
    /// Where it was executed.
    pub seq: SeqNo,
}

impl Client {
    /// Connects with the files that `replica genesis` wrote; waits up to ten seconds until enough
    /// replicas are connected.
    ///
    /// # Errors
    /// If a file cannot be used or too few replicas answer.
    pub async fn connect(cluster_file: &Path, key_file: &Path) -> Result<Client, ConnectError> {
        let client = Client::start(cluster_file, key_file, HubSettings::default())?;
        client.hub.ready(CONNECT_PATIENCE).await?;
        Ok(client)
    }

    /// As [`Client::connect`], with settings and without waiting.
    ///
    /// # Errors
    /// If a file cannot be used.
    pub fn start(
        cluster_file: &Path,
        key_file: &Path,
        settings: HubSettings,
    ) -> Result<Client, ConnectError> {
        let file = ClusterFile::read(cluster_file)?;
        let key = crypto::files::read_secret(key_file)?;
        let hub = match Hub::start(&file, vec![key], settings) {
            Err(ConnectError::UnknownKey(_)) => {
                return Err(ConnectError::UnknownKey(Some(key_file.into())));
            }
            other => other?,
        };
        let handle = hub.client(0).ok_or(ConnectError::NoKey)?;
        Ok(Client {
            hub,
            handle,
            reads: None,
        })
    }

    /// From now on gets and scans are read beside the log.
    #[must_use]
    pub fn with_reads(mut self, grade: Grade) -> Self {
        self.reads = Some(grade);
        self
    }

    /// The connections.
    pub fn hub(&self) -> &Hub {
        &self.hub
    }

    /// Ends all connections in order.
    pub async fn close(self) {
        self.hub.close().await;
    }

    /// Stores a new key.
    ///
    /// # Errors
    /// [`OperationError::AlreadyExists`], or if there is no result.
    pub async fn create(&self, key: &[u8], value: &[u8]) -> Result<Version, OperationError> {
        match self
            .one(Op::Create {
                key: blob(key),
                value: blob(value),
            })
            .await?
        {
            OpResult::Created { version } => Ok(version),
            other => Err(failure(other)),
        }
    }

    /// The value of a key; `None` if it does not exist.
    ///
    /// # Errors
    /// If there is no result.
    pub async fn read(&self, key: &[u8]) -> Result<Option<Read>, OperationError> {
        match self.one(Op::Read { key: blob(key) }).await? {
            OpResult::Value { value, version } => Ok(Some(Read { value, version })),
            OpResult::Absent => Ok(None),
            other => Err(failure(other)),
        }
    }

    /// Replaces the value of a key that exists.
    ///
    /// # Errors
    /// [`OperationError::NotFound`], or if there is no result.
    pub async fn update(&self, key: &[u8], value: &[u8]) -> Result<Version, OperationError> {
        match self
            .one(Op::Update {
                key: blob(key),
                value: blob(value),
            })
            .await?
        {
            OpResult::Updated { version } => Ok(version),
            other => Err(failure(other)),
        }
    }

    /// Stores a value whether or not the key exists.
    ///
    /// # Errors
    /// If there is no result.
    pub async fn put(&self, key: &[u8], value: &[u8]) -> Result<Version, OperationError> {
        match self
            .one(Op::Put {
                key: blob(key),
                value: blob(value),
            })
            .await?
        {
            OpResult::Put { version } => Ok(version),
            other => Err(failure(other)),
        }
    }

    /// Removes a key.
    ///
    /// # Errors
    /// [`OperationError::NotFound`], or if there is no result.
    pub async fn delete(&self, key: &[u8]) -> Result<(), OperationError> {
        match self.one(Op::Delete { key: blob(key) }).await? {
            OpResult::Deleted => Ok(()),
            other => Err(failure(other)),
        }
    }

    /// Stores a value if the key is as expected.
    ///
    /// # Errors
    /// [`OperationError::Mismatch`], or if there is no result.
    pub async fn cas(
        &self,
        key: &[u8],
        expect: Expect,
        value: &[u8],
    ) -> Result<Version, OperationError> {
        match self
            .one(Op::Cas {
                key: blob(key),
                expect,
                value: blob(value),
            })
            .await?
        {
            OpResult::Swapped { version } => Ok(version),
            other => Err(failure(other)),
        }
    }

    /// The entries of `start <= key < end`, at most `limit` ([`kv::SCAN_LIMIT_MAX`]); without
    /// `end` to the last key. A page may end early: go on at its `next`.
    ///
    /// # Errors
    /// If there is no result.
    pub async fn scan(
        &self,
        start: &[u8],
        end: Option<&[u8]>,
        limit: u32,
    ) -> Result<ScanPage, OperationError> {
        match self
            .one(Op::Scan {
                start: blob(start),
                end: end.map(blob),
                limit,
            })
            .await?
        {
            OpResult::Entries { entries, next } => Ok(ScanPage { entries, next }),
            other => Err(failure(other)),
        }
    }

    /// A transaction.
    ///
    /// # Errors
    /// If there is no result. That it was rolled back is a result.
    pub async fn txn(&self, txn: Txn) -> Result<TxnOutcome, OperationError> {
        let (mut results, completion) = self.request(&[Op::Txn(txn)], false).await?;
        let seq = completion.seq;
        match results.pop() {
            Some(OpResult::TxnDone { branch, results }) => Ok(TxnOutcome {
                branch,
                committed: true,
                results,
                seq,
            }),
            Some(OpResult::TxnRolledBack { branch, results }) => Ok(TxnOutcome {
                branch,
                committed: false,
                results,
                seq,
            }),
            other => Err(failure(other.unwrap_or(OpResult::Malformed))),
        }
    }

    /// Several operations in one request under one signature, each with its own result. `atomic`:
    /// all of them take effect or none does.
    ///
    /// # Errors
    /// If there is no result. That an operation failed is a result.
    pub async fn batch(&self, ops: &[Op], atomic: bool) -> Result<Vec<OpResult>, OperationError> {
        Ok(self.request(ops, atomic).await?.0)
    }

    /// As [`Client::batch`], with how the result came about.
    ///
    /// # Errors
    /// As [`Client::batch`].
    pub async fn request(
        &self,
        ops: &[Op],
        atomic: bool,
    ) -> Result<(Vec<OpResult>, Completion), OperationError> {
        let most = usize::from(self.hub.cluster().limits().request_ops_max);
        if ops.is_empty() || ops.len() > most {
            let refused = SubmitError::OpCount {
                count: ops.len(),
                most,
            };
            return Err(RequestError::Submit(refused).into());
        }
        for op in ops {
            op.check().map_err(OperationError::OutOfBounds)?;
        }
        let encoded: ByteList = ops.iter().map(Op::encode).collect();
        let completion = match self.reads {
            Some(grade) if ops.iter().all(Op::only_reads) => {
                self.handle.read(encoded, grade).await?
            }
            _ => self.handle.submit(encoded, atomic).await?,
        };
        let results: Vec<OpResult> = completion.results().collect::<Result<_, _>>()?;
        if results.len() != ops.len() {
            let text = format!("{} results for {} operations", results.len(), ops.len());
            return Err(RequestError::UnreadableResult(text).into());
        }
        Ok((results, completion))
    }

    async fn one(&self, op: Op) -> Result<OpResult, OperationError> {
        let (results, _) = self.request(&[op], false).await?;
        Ok(results.into_iter().next().unwrap_or(OpResult::Malformed))
    }
}

fn blob(bytes: &[u8]) -> Blob {
    Blob(bytes::Bytes::copy_from_slice(bytes))
}

/// A result that is not the one that the operation succeeds with.
fn failure(result: OpResult) -> OperationError {
    match result {
        OpResult::AlreadyExists { version } => OperationError::AlreadyExists(version),
        OpResult::NotFound => OperationError::NotFound,
        OpResult::Mismatch { current } => OperationError::Mismatch(current),
        OpResult::RolledBack => OperationError::RolledBack,
        OpResult::OutOfBounds(bound) => OperationError::OutOfBounds(bound),
        other => RequestError::UnreadableResult(format!("unexpected {other:?}")).into(),
    }
}
