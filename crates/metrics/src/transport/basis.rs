//! The spanning-tree basis of the network simplex method and its pivot.
//!
//! Arcs carry no capacity, so every arc outside the tree has flow zero and the tree is all there
//! is to store: the solvers that own the arcs (explicit candidate lists, implicit grid rows) only
//! ask for prices and for pivots. Flows are integers, which makes degeneracy exact; together with
//! a strongly feasible tree (every tree arc without flow points to the root) and the choice of the
//! last blocking arc this excludes cycling (Cunningham 1976).
//!
//! Between clouds of equal weights nearly all pivots move no mass. They are found by looking at a few
//! nodes near the entering arc, and cost no more than the walk over the subtree that is moved.

use super::masses::Mass;
use super::number::Number;

/// "No such node", for links.
const NONE: u32 = u32::MAX;
/// Set where the tree arc to the parent points to the parent.
const UP: u32 = 1 << 31;
/// Set where the tree arc to the parent, which points up then, has no flow.
const EMPTY: u32 = 1 << 30;
/// What is left for the parent.
const PARENT: u32 = EMPTY - 1;

/// The tree arc between a node and its parent.
#[derive(Clone, Copy)]
struct TreeArc<C> {
    up: bool,
    flow: Mass,
    cost: C,
}

/// A strongly feasible spanning tree with its flows and node potentials.
///
/// The reduced cost of an arc s -> t of cost c is `c - potential[s] + potential[t]`, zero on the
/// tree.
///
/// The preorder of the tree is a circular list, so a subtree is a run of it: a pivot splices runs,
/// and the shift of the potentials of a subtree is one walk along the list (the augmented threaded
/// index of Barr, Glover and Klingman 1979).
pub(crate) struct SpanningTree<C = f64> {
    /// Parent, with what most pivots need to know of the arc to it.
    link: Vec<u32>,
    flow: Vec<Mass>,
    cost: Vec<C>,
    /// Next and previous node in preorder.
    thread: Vec<u32>,
    back: Vec<u32>,
    /// Last node, in preorder, of the subtree.
    last: Vec<u32>,
    potential: Vec<C>,
    /// Number of the pivot that last came by, for either side of its cycle.
    seen: Vec<u32>,
    pivots: u32,
    root: u32,
}

/// A tree arc that carries flow.
pub(crate) struct FlowArc {
    pub(crate) from: u32,
    pub(crate) to: u32,
    pub(crate) flow: Mass,
}

impl<C: Number> SpanningTree<C> {
    /// `n` isolated nodes and a root, which has index `n`.
    ///
    /// The caller attaches every node with [`SpanningTree::attach`], parents first or last as it
    /// likes, and then calls [`SpanningTree::complete`].
    ///
    /// # Panics
    /// From 2^30 nodes on.
    pub(crate) fn new(n: usize) -> Self {
        assert!(n < PARENT as usize, "{n} nodes");
        let links = vec![NONE; n + 1];
        Self {
            link: vec![PARENT; n + 1],
            flow: vec![0; n + 1],
            cost: vec![C::ZERO; n + 1],
            thread: links.clone(),
            back: links.clone(),
            last: links,
            potential: vec![C::ZERO; n + 1],
            seen: vec![0; n + 1],
            pivots: 0,
            root: n as u32,
        }
    }

    pub(crate) fn root(&self) -> u32 {
        self.root
    }

    fn parent(&self, u: u32) -> u32 {
        self.link[u as usize] & PARENT
    }

    fn arc(&self, u: u32) -> TreeArc<C> {
        let u = u as usize;
        TreeArc { up: self.link[u] & UP != 0, flow: self.flow[u], cost: self.cost[u] }
    }

    /// Hangs `child` under `parent` by an arc that points up (child -> parent) or down.
    pub(crate) fn attach(&mut self, child: u32, parent: u32, up: bool, flow: Mass, cost: C) {
        debug_assert!(up || flow > 0, "a tree arc without flow must point to the root");
        let flags = if up { UP } else { 0 } | if flow == 0 { EMPTY } else { 0 };
        self.link[child as usize] = parent | flags;
        self.flow[child as usize] = flow;
        self.cost[child as usize] = cost;
    }

    /// Computes preorder and potentials once every node is attached.
    pub(crate) fn complete(&mut self) {
        // Children of each node as linked lists, then one depth-first walk.
        let n = self.link.len();
        let (mut first, mut sibling) = (vec![NONE; n], vec![NONE; n]);
        for u in (0..n - 1).rev() {
            let parent = self.parent(u as u32) as usize;
            sibling[u] = first[parent];
            first[parent] = u as u32;
        }
        let mut order = Vec::with_capacity(n);
        let mut stack = vec![self.root];
        while let Some(u) = stack.pop() {
            order.push(u);
            let mut child = first[u as usize];
            while child != NONE {
                stack.push(child);
                child = sibling[child as usize];
            }
        }
        debug_assert_eq!(order.len(), n, "a node was never attached");
        for (position, &u) in order.iter().enumerate() {
            let next = order[(position + 1) % n];
            self.thread[u as usize] = next;
            self.back[next as usize] = u;
            self.last[u as usize] = NONE;
        }
        // Children come after their parent, so backwards the child met first is the last one.
        for &u in order.iter().rev() {
            if self.last[u as usize] == NONE {
                self.last[u as usize] = u;
            }
            let last = self.last[u as usize];
            if u != self.root {
                let parent = self.parent(u) as usize;
                if self.last[parent] == NONE {
                    self.last[parent] = last;
                }
            }
        }
        self.potential[self.root as usize] = C::ZERO;
        for &u in &order[1..] {
            let (above, cost) = (self.potential[self.parent(u) as usize], self.cost[u as usize]);
            let up = self.link[u as usize] & UP != 0;
            self.potential[u as usize] = if up { above + cost } else { above - cost };
        }
    }

    pub(crate) fn potential(&self) -> &[C] {
        &self.potential
    }

    fn at_root(&self) -> impl Iterator<Item = usize> + '_ {
        (0..self.root as usize).filter(|&u| self.link[u] & PARENT == self.root)
    }

    /// Replaces the costs of the tree arcs between nodes and the root.
    pub(crate) fn reprice_root_arcs(&mut self, cost: impl Fn(u32) -> C) {
        let nodes: Vec<usize> = self.at_root().collect();
        nodes.into_iter().for_each(|u| self.cost[u] = cost(u as u32));
        self.complete();
    }

    /// Total flow that still runs over the root, that is over artificial arcs.
    pub(crate) fn flow_through_root(&self) -> Mass {
        self.at_root().filter(|&u| self.link[u] & UP != 0).map(|u| self.flow[u]).sum()
    }

    /// The tree arcs with flow, artificial ones left out.
    pub(crate) fn flows(&self) -> impl Iterator<Item = FlowArc> + '_ {
        (0..self.root).filter_map(move |u| {
            let flow = self.flow[u as usize];
            if flow == 0 || self.parent(u) == self.root {
                return None;
            }
            let (from, to) = self.ends(u);
            Some(FlowArc { from, to, flow })
        })
    }

    /// The arcs of the tree, artificial ones left out.
    pub(crate) fn arcs(&self) -> impl Iterator<Item = (u32, u32)> + '_ {
        let real = (0..self.root).filter(|&u| self.parent(u) != self.root);
        real.map(|u| self.ends(u))
    }

    /// From where to where the arc between a node and its parent points.
    fn ends(&self, u: u32) -> (u32, u32) {
        let parent = self.parent(u);
        if self.link[u as usize] & UP != 0 { (u, parent) } else { (parent, u) }
    }

    /// The same tree and flows with other costs, of arcs `from -> to` between nodes or with the root.
    pub(crate) fn with_costs<D: Number>(self, cost: impl Fn(u32, u32) -> D) -> SpanningTree<D> {
        let of_arc = |u: u32| {
            let (from, to) = self.ends(u);
            cost(from, to)
        };
        let cost = (0..self.root).map(of_arc).chain([D::ZERO]).collect();
        let mut tree = SpanningTree {
            cost,
            potential: vec![D::ZERO; self.link.len()],
            link: self.link,
            flow: self.flow,
            thread: self.thread,
            back: self.back,
            last: self.last,
            seen: self.seen,
            pivots: self.pivots,
            root: self.root,
        };
        tree.complete();
        tree
    }

    /// Brings the arc `s -> t` of cost `cost` into the tree.
    pub(crate) fn pivot(&mut self, s: u32, t: u32, cost: C) {
        let reduced = cost - self.potential[s as usize] + self.potential[t as usize];
        // Mass on its way around the cycle, through s -> t, runs against the arcs above s that point
        // up: the first empty one stops all of it, unless the cycle closes below.
        let mut top = s;
        while self.link[top as usize] & EMPTY == 0 && top != self.root {
            top = self.parent(top);
        }
        if top != self.root && !self.is_below(t, top) {
            self.rehang(top, s, t, TreeArc { up: true, flow: 0, cost });
            return self.shift_potentials(s, reduced);
        }
        let join = self.join(s, t);
        // Along the cycle, entered at the join, through s -> t and back: arcs that run against it
        // lose flow. The last of the tightest ones leaves, which keeps the tree strongly feasible.
        let (mut delta, mut out, mut source_side) = (Mass::MAX, NONE, false);
        let mut u = s;
        while u != join {
            let TreeArc { up, flow, .. } = self.arc(u);
            if up && flow < delta {
                (delta, out, source_side) = (flow, u, true);
            }
            u = self.parent(u);
        }
        let mut u = t;
        while u != join {
            let TreeArc { up, flow, .. } = self.arc(u);
            if !up && flow <= delta {
                (delta, out, source_side) = (flow, u, false);
            }
            u = self.parent(u);
        }
        debug_assert!(out != NONE, "a directed cycle of negative cost");
        if out == NONE {
            return;
        }
        self.push_flow(s, join, -delta);
        self.push_flow(t, join, delta);
        // The subtree that is cut off hangs, from now on, under the other end of the entering arc.
        let (inner, outer, up, shift) =
            if source_side { (s, t, true, reduced) } else { (t, s, false, -reduced) };
        self.rehang(out, inner, outer, TreeArc { up, flow: delta, cost });
        self.shift_potentials(inner, shift);
    }

    /// Whether `u` is in the subtree of `top`: a walk up from the one and a walk through the other,
    /// whichever ends first.
    fn is_below(&self, mut u: u32, top: u32) -> bool {
        let (bottom, last, mut v) = (u, self.last[top as usize], top);
        loop {
            if u == top || v == bottom {
                return true;
            }
            if u == self.root || v == last {
                return false;
            }
            u = self.parent(u);
            v = self.thread[v as usize];
        }
    }

    /// Adds `amount` to the flow of up arcs from `u` to `join`, takes it from down arcs.
    fn push_flow(&mut self, mut u: u32, join: u32, amount: Mass) {
        while u != join {
            let up = self.link[u as usize] & UP != 0;
            let flow = self.flow[u as usize] + if up { amount } else { -amount };
            self.flow[u as usize] = flow;
            self.link[u as usize] &= !EMPTY;
            self.link[u as usize] |= if flow == 0 { EMPTY } else { 0 };
            u = self.parent(u);
        }
    }

    /// Lowest common ancestor: two walks up that take turns, until one comes where the other was.
    fn join(&mut self, mut u: u32, mut v: u32) -> u32 {
        if self.pivots >= u32::MAX - 2 {
            self.pivots = 0;
            self.seen.fill(0);
        }
        self.pivots += 2;
        let (by_u, by_v) = (self.pivots, self.pivots + 1);
        self.seen[u as usize] = by_u;
        if u == v {
            return u;
        }
        self.seen[v as usize] = by_v;
        loop {
            if u != self.root {
                u = self.parent(u);
                if self.seen[u as usize] == by_v {
                    return u;
                }
                self.seen[u as usize] = by_u;
            }
            if v != self.root {
                v = self.parent(v);
                if self.seen[v as usize] == by_u {
                    return v;
                }
                self.seen[v as usize] = by_v;
            }
        }
    }

    /// Cuts the subtree of `out`, turns it so that `inner` is its top, hangs it under `outer`.
    fn rehang(&mut self, out: u32, inner: u32, outer: u32, mut arc: TreeArc<C>) {
        self.cut_run(out);
        let tail = self.turn_run(inner, out);
        self.insert_run(inner, tail, outer);
        let (mut child, mut parent) = (inner, outer);
        loop {
            let (old, above) = (self.arc(child), self.parent(child));
            let flags = if arc.up { UP } else { 0 } | if arc.flow == 0 { EMPTY } else { 0 };
            self.link[child as usize] = parent | flags;
            self.flow[child as usize] = arc.flow;
            self.cost[child as usize] = arc.cost;
            if child == out {
                break;
            }
            arc = TreeArc { up: !old.up, ..old };
            (parent, child) = (child, above);
        }
    }

    fn splice(&mut self, before: u32, after: u32) {
        self.thread[before as usize] = after;
        self.back[after as usize] = before;
    }

    /// Takes the run of the subtree of `top` out of the preorder.
    fn cut_run(&mut self, top: u32) {
        let (before, last) = (self.back[top as usize], self.last[top as usize]);
        self.splice(before, self.thread[last as usize]);
        let mut u = self.parent(top);
        while self.last[u as usize] == last {
            self.last[u as usize] = before;
            if u == self.root {
                break;
            }
            u = self.parent(u);
        }
    }

    /// Reorders the run that was cut out at `out` as the preorder of its tree hung up at `inner`.
    ///
    /// The new order is the subtree of `inner` as it was, then what the parent of `inner` has
    /// besides, and so on up to `out`. Returns the last node.
    fn turn_run(&mut self, inner: u32, out: u32) -> u32 {
        let mut stem = inner;
        let (mut before, mut last) = (self.back[stem as usize], self.last[stem as usize]);
        let (mut after, mut tail) = (self.thread[last as usize], last);
        while stem != out {
            stem = self.parent(stem);
            // All of this is read before the splices below change it.
            let (stem_before, stem_last) = (self.back[stem as usize], self.last[stem as usize]);
            let at_end = stem_last == last;
            let stem_after = if at_end { after } else { self.thread[stem_last as usize] };
            let stem_tail = if at_end { before } else { stem_last };
            if !at_end {
                self.splice(before, after);
            }
            self.splice(tail, stem);
            (before, last, after, tail) = (stem_before, stem_last, stem_after, stem_tail);
        }
        let mut u = inner;
        loop {
            self.last[u as usize] = tail;
            if u == out {
                return tail;
            }
            u = self.parent(u);
        }
    }

    /// Puts the run from `head` to `tail` right behind `outer`.
    fn insert_run(&mut self, head: u32, tail: u32, outer: u32) {
        let after = self.thread[outer as usize];
        self.splice(outer, head);
        self.splice(tail, after);
        let mut u = outer;
        while self.last[u as usize] == outer {
            self.last[u as usize] = tail;
            if u == self.root {
                break;
            }
            u = self.parent(u);
        }
    }

    /// Adds `shift` to the subtree of `top`.
    fn shift_potentials(&mut self, top: u32, shift: C) {
        let (mut u, last) = (top, self.last[top as usize]);
        loop {
            self.potential[u as usize] += shift;
            if u == last {
                return;
            }
            u = self.thread[u as usize];
        }
    }
}
