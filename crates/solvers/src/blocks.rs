//! Many particles: blocks that fit the cache, each taken through a whole solve by one thread.

use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use crate::{Result, Solution, Stats};

/// The numbers of particles: the first `n`, or a range of them. What is random of a particle, and what a model knows
/// of it ([`sde_core::Score::for_rows`]), belongs to its number, so a run may be cut anywhere.
///
/// ```
/// use solvers::Rows;
/// assert_eq!(Rows::from(1000), Rows::from(0..1000));
/// assert_eq!(Rows::from(1000..1500).len(), 500);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rows {
    first: u64,
    end: u64,
}

impl Rows {
    /// The number of the first.
    pub fn first(self) -> u64 {
        self.first
    }

    /// How many; none where the range ends before it begins.
    pub fn len(self) -> u64 {
        self.end.saturating_sub(self.first)
    }

    /// Whether there are none.
    pub fn is_empty(self) -> bool {
        self.len() == 0
    }
}

impl From<u64> for Rows {
    fn from(n: u64) -> Self {
        Self { first: 0, end: n }
    }
}

impl From<Range<u64>> for Rows {
    fn from(Range { start, end }: Range<u64>) -> Self {
        Self { first: start, end }
    }
}

impl std::fmt::Display for Rows {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}..{}", self.first, self.end)
    }
}

/// What solving all blocks cost.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Summary {
    /// Particles.
    pub rows: u64,
    /// Blocks they were cut into.
    pub blocks: u64,
    /// Evaluations of the score for one particle: the largest number over all blocks.
    pub nfe: u64,
    /// Evaluations of the score summed over all particles.
    pub row_evaluations: u64,
    /// Accepted steps, summed over blocks.
    pub accepted: u64,
    /// Rejected steps, summed over blocks.
    pub rejected: u64,
}

impl Summary {
    fn add(&mut self, rows: u64, stats: Stats) {
        self.rows += rows;
        self.blocks += 1;
        self.nfe = self.nfe.max(stats.nfe);
        self.row_evaluations += stats.nfe * rows;
        self.accepted += stats.accepted;
        self.rejected += stats.rejected;
    }
}

/// Blocks that are done, waiting for the ones before them.
struct Inbox<'a, S, E> {
    next: u64,
    waiting: BTreeMap<u64, Result<Solution<S>, E>>,
    summary: Summary,
    error: Option<E>,
    sink: &'a mut (dyn FnMut(u64, S) -> Result<(), E> + Send),
}

/// Calls `solve_block(first_row, len)` for `rows` (`0 .. n`, or a range of numbers) in blocks of `block_rows` on rayon's
/// threads, and hands every finished block to `sink(first_row, state)` in the order of rows.
///
/// Threads take the next block as they become free, so hardly more blocks than threads exist at a
/// time: memory does not grow with their number. What `sink` sees does not depend on the number of
/// threads; nor on `block_rows`, as long as `solve_block` computes its rows independently.
///
/// # Errors
/// That of the first block, in the order of rows, that fails, or of `sink`.
///
/// # Panics
/// When `block_rows` is zero.
pub fn solve_blocks<S: Send, E: Send>(
    rows: impl Into<Rows>,
    block_rows: u64,
    solve_block: &(dyn Fn(u64, usize) -> Result<Solution<S>, E> + Sync),
    sink: &mut (dyn FnMut(u64, S) -> Result<(), E> + Send),
) -> Result<Summary, E> {
    assert!(block_rows > 0, "a block needs at least one row");
    let rows = rows.into();
    let (first_row, n_rows) = (rows.first(), rows.len());
    let blocks = n_rows.div_ceil(block_rows);
    let (taken, failed) = (AtomicU64::new(0), AtomicBool::new(false));
    let rows_of = |b: u64| block_rows.min(n_rows - b * block_rows);
    let inbox = Mutex::new(Inbox {
        next: 0,
        waiting: BTreeMap::new(),
        summary: Summary::default(),
        error: None,
        sink,
    });
    let work = || {
        while !failed.load(Ordering::Relaxed) {
            let b = taken.fetch_add(1, Ordering::Relaxed);
            if b >= blocks {
                break;
            }
            let found = solve_block(first_row + b * block_rows, rows_of(b) as usize);
            if found.is_err() {
                // Every block before this one has been taken, and will be delivered.
                failed.store(true, Ordering::Relaxed);
            }
            let mut guard = inbox.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
            let inbox = &mut *guard;
            inbox.waiting.insert(b, found);
            while inbox.error.is_none()
                && let Some(found) = inbox.waiting.remove(&inbox.next)
            {
                let delivered = found.and_then(|done| {
                    inbox.summary.add(rows_of(inbox.next), done.stats);
                    (inbox.sink)(first_row + inbox.next * block_rows, done.x)
                });
                inbox.next += 1;
                if let Err(e) = delivered {
                    inbox.error = Some(e);
                    failed.store(true, Ordering::Relaxed);
                }
            }
        }
    };
    let threads = (rayon::current_num_threads() as u64).min(blocks.max(1));
    rayon::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|_| work());
        }
    });
    let inbox = inbox.into_inner().unwrap_or_else(std::sync::PoisonError::into_inner);
    inbox.error.map_or(Ok(inbox.summary), Err)
}
