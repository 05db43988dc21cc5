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
    first_child: u32,
    /// Siblings form a doubly linked list.
    next: u32,
    prev: u32,
    /// Number of nodes in the subtree, itself included.
    size: u32,
    /// Whether the tree arc to the parent points to the parent.
    up: bool,
    /// Flow on the tree arc to the parent.
    flow: i64,
    /// Cost of the tree arc to the parent.
    cost: f64,
}

/// A strongly feasible spanning tree with its flows and node potentials.
///
/// The reduced cost of an arc s -> t of cost c is `c - potential[s] + potential[t]`, zero on the
/// tree.
pub(crate) struct SpanningTree {
    nodes: Vec<Node>,
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
        let node = Node {
            parent: NONE,
            first_child: NONE,
            next: NONE,
            prev: NONE,
            size: 1,
            up: true,
            flow: 0,
            cost: 0.0,
        };
        Self { nodes: vec![node; n + 1], potential: vec![0.0; n + 1], root: n as u32 }
    }

    pub(crate) fn root(&self) -> u32 {
        self.root
    }

    /// Hangs `child` under `parent` by an arc that points up (child -> parent) or down.
    pub(crate) fn attach(&mut self, child: u32, parent: u32, up: bool, flow: i64, cost: f64) {
        debug_assert!(up || flow > 0, "a tree arc without flow must point to the root");
        self.link(child, parent);
        let node = &mut self.nodes[child as usize];
        (node.up, node.flow, node.cost) = (up, flow, cost);
    }

    /// Computes subtree sizes and potentials of a tree whose nodes are all attached.
    pub(crate) fn complete(&mut self) {
        let mut order = Vec::with_capacity(self.nodes.len());
        order.push(self.root);
        let mut head = 0;
        while head < order.len() {
            let mut child = self.nodes[order[head] as usize].first_child;
            head += 1;
            while child != NONE {
                order.push(child);
                child = self.nodes[child as usize].next;
            }
        }
        debug_assert_eq!(order.len(), self.nodes.len(), "a node was never attached");
        for node in &mut self.nodes {
            node.size = 1;
        }
        for &u in order[1..].iter().rev() {
            let Node { size, parent, .. } = self.nodes[u as usize];
            self.nodes[parent as usize].size += size;
        }
        self.potential[self.root as usize] = 0.0;
        for &u in &order[1..] {
            self.price_from_parent(u);
        }
    }

    pub(crate) fn potential(&self) -> &[f64] {
        &self.potential
    }

    /// Replaces the cost of the tree arc of every child of the root that `cost` has an answer for.
    pub(crate) fn reprice_root_arcs(&mut self, cost: impl Fn(u32) -> f64) {
        let mut child = self.nodes[self.root as usize].first_child;
        while child != NONE {
            self.nodes[child as usize].cost = cost(child);
            child = self.nodes[child as usize].next;
        }
        self.complete();
    }

    /// Total flow that still runs over the root, that is over artificial arcs.
    pub(crate) fn flow_through_root(&self) -> i64 {
        let mut total = 0;
        let mut child = self.nodes[self.root as usize].first_child;
        while child != NONE {
            let node = &self.nodes[child as usize];
            if node.up {
                total += node.flow;
            }
            child = node.next;
        }
        total
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
        let (mut size_u, mut size_v) =
            (self.nodes[u as usize].size, self.nodes[v as usize].size);
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
        let (mut child, mut parent) = (inner, outer);
        let (mut up, mut flow, mut cost) = (arc.up, arc.flow, arc.cost);
        let mut below = 0;
        loop {
            let old = self.nodes[child as usize];
            self.unlink(child);
            self.link(child, parent);
            let node = &mut self.nodes[child as usize];
            (node.up, node.flow, node.cost) = (up, flow, cost);
            node.size = moved - below;
            if child == out {
                break;
            }
            below = old.size;
            (up, flow, cost) = (!old.up, old.flow, old.cost);
            (parent, child) = (child, old.parent);
        }
    }

    fn link(&mut self, child: u32, parent: u32) {
        let head = self.nodes[parent as usize].first_child;
        if head != NONE {
            self.nodes[head as usize].prev = child;
        }
        self.nodes[parent as usize].first_child = child;
        let node = &mut self.nodes[child as usize];
        (node.parent, node.next, node.prev) = (parent, head, NONE);
    }

    fn unlink(&mut self, child: u32) {
        let Node { parent, next, prev, .. } = self.nodes[child as usize];
        if prev == NONE {
            self.nodes[parent as usize].first_child = next;
        } else {
            self.nodes[prev as usize].next = next;
        }
        if next != NONE {
            self.nodes[next as usize].prev = prev;
        }
    }

    /// Adds `shift` to the subtree of `top`, or takes it from the rest where that is smaller: only
    /// differences of potentials matter.
    fn shift_potentials(&mut self, top: u32, shift: f64) {
        let inside = 2 * self.nodes[top as usize].size as usize <= self.nodes.len();
        let (start, skip, shift) = if inside { (top, NONE, shift) } else { (self.root, top, -shift) };
        let mut u = start;
        loop {
            if u != skip {
                self.potential[u as usize] += shift;
                let child = self.nodes[u as usize].first_child;
                if child != NONE {
                    u = child;
                    continue;
                }
            }
            loop {
                if u == start {
                    return;
                }
                let node = &self.nodes[u as usize];
                if node.next != NONE {
                    u = node.next;
                    break;
                }
                u = node.parent;
            }
        }
    }

    fn price_from_parent(&mut self, u: u32) {
        let node = &self.nodes[u as usize];
        let above = self.potential[node.parent as usize];
        self.potential[u as usize] = if node.up { above + node.cost } else { above - node.cost };
    }
}
