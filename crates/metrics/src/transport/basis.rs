//! The spanning-tree basis of the network simplex method and its pivot.
//!
//! Arcs carry no capacity, so every arc outside the tree has flow zero and the tree is all there
//! is to store: the solvers that own the arcs (explicit candidate lists, implicit grid rows) only
//! ask for prices and for pivots. Flows are integers, which makes degeneracy exact; together with
//! a strongly feasible tree (every tree arc without flow points to the root) and the choice of the
//! last blocking arc this excludes cycling (Cunningham 1976).

/// "No such node", for links.
const NONE: u32 = u32::MAX;

#[derive(Clone, Copy)]
struct Node {
    parent: u32,
    /// Number of nodes in the subtree, itself included.
    size: u32,
    /// Flow on the tree arc to the parent.
    flow: i64,
    /// Cost of the tree arc to the parent.
    cost: f64,
    /// Whether the tree arc to the parent points to the parent.
    up: bool,
}

/// A strongly feasible spanning tree with its flows and node potentials.
///
/// The reduced cost of an arc s -> t of cost c is `c - potential[s] + potential[t]`, zero on the
/// tree.
///
/// The preorder of the tree is a circular list, so a subtree is a run of it: a pivot splices runs,
/// and the shift of the potentials of a subtree is one walk along the list (the augmented threaded
/// index of Barr, Glover and Klingman 1979).
pub(crate) struct SpanningTree {
    nodes: Vec<Node>,
    /// Next and previous node in preorder.
    thread: Vec<u32>,
    back: Vec<u32>,
    /// Last node, in preorder, of the subtree.
    last: Vec<u32>,
    potential: Vec<f64>,
    root: u32,
}

/// A tree arc that carries flow.
pub(crate) struct FlowArc {
    pub(crate) from: u32,
    pub(crate) to: u32,
    pub(crate) flow: i64,
}

impl SpanningTree {
    /// `n` isolated nodes and a root, which has index `n`.
    ///
    /// The caller attaches every node with [`SpanningTree::attach`], parents first or last as it
    /// likes, and then calls [`SpanningTree::complete`].
    pub(crate) fn new(n: usize) -> Self {
        let node = Node { parent: NONE, size: 1, flow: 0, cost: 0.0, up: true };
        let links = vec![NONE; n + 1];
        Self {
            nodes: vec![node; n + 1],
            thread: links.clone(),
            back: links.clone(),
            last: links,
            potential: vec![0.0; n + 1],
            root: n as u32,
        }
    }

    pub(crate) fn root(&self) -> u32 {
        self.root
    }

    /// Hangs `child` under `parent` by an arc that points up (child -> parent) or down.
    pub(crate) fn attach(&mut self, child: u32, parent: u32, up: bool, flow: i64, cost: f64) {
        debug_assert!(up || flow > 0, "a tree arc without flow must point to the root");
        self.nodes[child as usize] = Node { parent, size: 1, flow, cost, up };
    }

    /// Computes preorder, subtree sizes and potentials once every node is attached.
    pub(crate) fn complete(&mut self) {
        // Children of each node as linked lists, then one depth-first walk.
        let n = self.nodes.len();
        let (mut first, mut sibling) = (vec![NONE; n], vec![NONE; n]);
        for (u, node) in self.nodes.iter().enumerate().rev() {
            if node.parent != NONE {
                sibling[u] = first[node.parent as usize];
                first[node.parent as usize] = u as u32;
            }
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
            self.nodes[u as usize].size = 1;
            self.last[u as usize] = NONE;
        }
        // Children come after their parent, so backwards every subtree is complete when it is met,
        // and the child met first is the last one.
        for &u in order.iter().rev() {
            if self.last[u as usize] == NONE {
                self.last[u as usize] = u;
            }
            let (Node { size, parent, .. }, last) = (self.nodes[u as usize], self.last[u as usize]);
            if parent != NONE {
                self.nodes[parent as usize].size += size;
                if self.last[parent as usize] == NONE {
                    self.last[parent as usize] = last;
                }
            }
        }
        self.potential[self.root as usize] = 0.0;
        for &u in &order[1..] {
            self.price_from_parent(u);
        }
    }

    pub(crate) fn potential(&self) -> &[f64] {
        &self.potential
    }

    /// Replaces the costs of the tree arcs between nodes and the root.
    pub(crate) fn reprice_root_arcs(&mut self, cost: impl Fn(u32) -> f64) {
        let root = self.root;
        for (u, node) in self.nodes.iter_mut().enumerate().filter(|(_, node)| node.parent == root) {
            node.cost = cost(u as u32);
        }
        self.complete();
    }

    /// Total flow that still runs over the root, that is over artificial arcs.
    pub(crate) fn flow_through_root(&self) -> i64 {
        let into_root = self.nodes.iter().filter(|node| node.up && node.parent == self.root);
        into_root.map(|node| node.flow).sum()
    }

    /// The tree arcs with flow, artificial ones left out.
    pub(crate) fn flows(&self) -> impl Iterator<Item = FlowArc> + '_ {
        let root = self.root;
        self.nodes.iter().enumerate().filter_map(move |(u, node)| {
            if node.flow == 0 || node.parent == root || node.parent == NONE {
                return None;
            }
            let (u, p) = (u as u32, node.parent);
            let (from, to) = if node.up { (u, p) } else { (p, u) };
            Some(FlowArc { from, to, flow: node.flow })
        })
    }

    /// Brings the arc `s -> t` of cost `cost` into the tree.
    pub(crate) fn pivot(&mut self, s: u32, t: u32, cost: f64) {
        let reduced = cost - self.potential[s as usize] + self.potential[t as usize];
        let join = self.join(s, t);
        // Along the cycle, entered at the join, through s -> t and back: arcs that run against it
        // lose flow. The last of the tightest ones leaves, which keeps the tree strongly feasible.
        let (mut delta, mut out, mut source_side) = (i64::MAX, NONE, false);
        let mut u = s;
        while u != join {
            let node = &self.nodes[u as usize];
            if node.up && node.flow < delta {
                (delta, out, source_side) = (node.flow, u, true);
            }
            u = node.parent;
        }
        let mut u = t;
        while u != join {
            let node = &self.nodes[u as usize];
            if !node.up && node.flow <= delta {
                (delta, out, source_side) = (node.flow, u, false);
            }
            u = node.parent;
        }
        debug_assert!(out != NONE, "a directed cycle of negative cost");
        if out == NONE {
            return;
        }
        if delta > 0 {
            self.push_flow(s, join, -delta);
            self.push_flow(t, join, delta);
        }
        // The subtree that is cut off hangs, from now on, under the other end of the entering arc.
        let (inner, outer, up, shift) =
            if source_side { (s, t, true, reduced) } else { (t, s, false, -reduced) };
        self.rehang(out, inner, outer, join, Node { up, flow: delta, cost, ..self.nodes[0] });
        self.shift_potentials(inner, shift);
    }

    /// Adds `amount` to the flow of up arcs from `u` to `join`, takes it from down arcs.
    fn push_flow(&mut self, mut u: u32, join: u32, amount: i64) {
        while u != join {
            let node = &mut self.nodes[u as usize];
            node.flow += if node.up { amount } else { -amount };
            u = node.parent;
        }
    }

    /// Lowest common ancestor, by subtree sizes: an ancestor is strictly larger.
    fn join(&self, mut u: u32, mut v: u32) -> u32 {
        let (mut size_u, mut size_v) = (self.nodes[u as usize].size, self.nodes[v as usize].size);
        while u != v {
            if size_u < size_v {
                u = self.nodes[u as usize].parent;
                size_u = self.nodes[u as usize].size;
            } else {
                v = self.nodes[v as usize].parent;
                size_v = self.nodes[v as usize].size;
            }
        }
        u
    }

    /// Cuts the subtree of `out`, turns it so that `inner` is its top, hangs it under `outer`.
    fn rehang(&mut self, out: u32, inner: u32, outer: u32, join: u32, arc: Node) {
        let moved = self.nodes[out as usize].size;
        let mut u = self.nodes[out as usize].parent;
        while u != join {
            self.nodes[u as usize].size -= moved;
            u = self.nodes[u as usize].parent;
        }
        let mut u = outer;
        while u != join {
            self.nodes[u as usize].size += moved;
            u = self.nodes[u as usize].parent;
        }
        self.cut_run(out);
        let tail = self.turn_run(inner, out);
        self.insert_run(inner, tail, outer);

        let (mut child, mut parent) = (inner, outer);
        let (mut up, mut flow, mut cost) = (arc.up, arc.flow, arc.cost);
        let mut below = 0;
        loop {
            let node = &mut self.nodes[child as usize];
            let old = *node;
            *node = Node { parent, size: moved - below, flow, cost, up };
            if child == out {
                break;
            }
            below = old.size;
            (up, flow, cost) = (!old.up, old.flow, old.cost);
            (parent, child) = (child, old.parent);
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
        let mut u = self.nodes[top as usize].parent;
        while u != NONE && self.last[u as usize] == last {
            self.last[u as usize] = before;
            u = self.nodes[u as usize].parent;
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
            stem = self.nodes[stem as usize].parent;
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
            u = self.nodes[u as usize].parent;
        }
    }

    /// Puts the run from `head` to `tail` right behind `outer`.
    fn insert_run(&mut self, head: u32, tail: u32, outer: u32) {
        let after = self.thread[outer as usize];
        self.splice(outer, head);
        self.splice(tail, after);
        let mut u = outer;
        while u != NONE && self.last[u as usize] == outer {
            self.last[u as usize] = tail;
            u = self.nodes[u as usize].parent;
        }
    }

    /// Adds `shift` to the subtree of `top`, or takes it from the rest where that is smaller: only
    /// differences of potentials matter.
    fn shift_potentials(&mut self, top: u32, shift: f64) {
        let behind = self.thread[self.last[top as usize] as usize];
        let inside = 2 * self.nodes[top as usize].size as usize <= self.nodes.len();
        let (mut u, end, shift) = if inside { (top, behind, shift) } else { (behind, top, -shift) };
        while u != end {
            self.potential[u as usize] += shift;
            u = self.thread[u as usize];
        }
    }

    fn price_from_parent(&mut self, u: u32) {
        let node = &self.nodes[u as usize];
        let above = self.potential[node.parent as usize];
        self.potential[u as usize] = if node.up { above + node.cost } else { above - node.cost };
    }
}
