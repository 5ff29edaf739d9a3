//! Where boxes stand: in columns, each to the right of what it needs.
//!
//! An edge that passes a column gets a place of its own there, so that no line runs through a box. Within a column
//! the order follows the neighbours' (Sugiyama's method, with medians taken to and fro).

use super::Drawing;

/// Pixels.
pub const GAP_X: f64 = 70.0;
const GAP_Y: f64 = 14.0;
const PASSAGE: f64 = 8.0;
const MARGIN: f64 = 20.0;
/// So often the columns are put in order, to the right and back again.
const SWEEPS: usize = 8;

/// A box.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Place {
    /// Left.
    pub x: f64,
    /// Top.
    pub y: f64,
    /// Width.
    pub width: f64,
    /// Height.
    pub height: f64,
}

/// All boxes, and of each edge the points at which it passes columns.
#[derive(Clone, Debug, Default)]
pub struct Layout {
    /// As long as the drawing's nodes.
    pub places: Vec<Place>,
    /// As long as the drawing's edges: from the dependent's left side to the right side of what it needs.
    pub lines: Vec<Vec<(f64, f64)>>,
    /// Of the whole.
    pub width: f64,
    /// Of the whole.
    pub height: f64,
}

/// One place in a column: a box, or where an edge passes.
struct Slot {
    column: usize,
    width: f64,
    height: f64,
    left: Vec<usize>,
    right: Vec<usize>,
    y: f64,
}

/// Lays the drawing out; `sizes` are the boxes' widths and heights.
pub fn layout(drawing: &Drawing, sizes: &[(f64, f64)]) -> Layout {
    let columns = columns(drawing);
    let mut slots: Vec<Slot> = sizes
        .iter()
        .zip(&columns)
        .map(|((width, height), column)| Slot {
            column: *column,
            width: *width,
            height: *height,
            left: vec![],
            right: vec![],
            y: 0.0,
        })
        .collect();
    let chains: Vec<Vec<usize>> = drawing.edges.iter().map(|(from, to)| chain(*from, *to, &mut slots)).collect();
    let mut order: Vec<Vec<usize>> = vec![vec![]; columns.iter().max().map_or(0, |last| last + 1)];
    for (index, slot) in slots.iter().enumerate() {
        order[slot.column].push(index);
    }
    sort(&mut order, &slots);
    set_heights(&order, &mut slots);
    let mut left = vec![];
    let mut x = MARGIN;
    for column in &order {
        left.push(x);
        x += column.iter().map(|slot| slots[*slot].width).fold(0.0, f64::max) + GAP_X;
    }
    let top = slots.iter().map(|slot| slot.y).fold(f64::INFINITY, f64::min).min(f64::MAX);
    let bottom = slots.iter().map(|slot| slot.y + slot.height).fold(top, f64::max);
    let y_of = |slot: &Slot| ((slot.y - top + MARGIN) * 10.0).round() / 10.0;
    let places: Vec<Place> = slots[..sizes.len()]
        .iter()
        .map(|slot| Place { x: left[slot.column], y: y_of(slot), width: slot.width, height: slot.height })
        .collect();
    let widths: Vec<f64> =
        order.iter().map(|column| column.iter().map(|slot| slots[*slot].width).fold(0.0, f64::max)).collect();
    let lines = chains
        .iter()
        .map(|chain| {
            let mut points = vec![];
            for (at, index) in chain.iter().enumerate() {
                let slot = &slots[*index];
                let (x, y) = (left[slot.column], y_of(slot) + slot.height / 2.0);
                if at > 0 {
                    points.push((x + widths[slot.column], y));
                }
                if at + 1 == chain.len() && slot.width < widths[slot.column] {
                    // Level past what is wider in that column.
                    points.push((x + slot.width, y));
                }
                if at + 1 < chain.len() {
                    points.push((x, y));
                }
            }
            points
        })
        .collect();
    let height = if slots.is_empty() { 0.0 } else { bottom - top };
    Layout { places, lines, width: (x - GAP_X + MARGIN).max(2.0 * MARGIN), height: height + 2.0 * MARGIN }
}

/// The longest way to something that needs nothing.
fn columns(drawing: &Drawing) -> Vec<usize> {
    let mut needs: Vec<Vec<usize>> = vec![vec![]; drawing.nodes.len()];
    for (from, to) in &drawing.edges {
        needs[*from].push(*to);
    }
    let mut columns: Vec<Option<usize>> = vec![None; drawing.nodes.len()];
    // A site has no circles; the open ones are left out so that no drawing goes on for ever.
    let mut open = vec![false; drawing.nodes.len()];
    for start in 0..drawing.nodes.len() {
        let mut stack = vec![start];
        while let Some(node) = stack.last().copied() {
            open[node] = true;
            let next = needs[node].iter().find(|need| columns[**need].is_none() && !open[**need]);
            if let Some(next) = next {
                stack.push(*next);
                continue;
            }
            let deepest = needs[node].iter().filter_map(|need| columns[*need]).max();
            columns[node] = columns[node].or(Some(deepest.map_or(0, |column| column + 1)));
            stack.pop();
        }
    }
    columns.into_iter().map(Option::unwrap_or_default).collect()
}

/// The places of an edge, from right to left; those between its ends are made here.
fn chain(from: usize, to: usize, slots: &mut Vec<Slot>) -> Vec<usize> {
    let mut chain = vec![from];
    for column in (slots[to].column + 1..slots[from].column).rev() {
        slots.push(Slot { column, width: 0.0, height: PASSAGE, left: vec![], right: vec![], y: 0.0 });
        chain.push(slots.len() - 1);
    }
    chain.push(to);
    for pair in chain.windows(2) {
        slots[pair[0]].left.push(pair[1]);
        slots[pair[1]].right.push(pair[0]);
    }
    chain
}

/// Each column in the order of the medians of its neighbours, to the right and back again.
fn sort(order: &mut [Vec<usize>], slots: &[Slot]) {
    let mut position = vec![0; slots.len()];
    let note = |column: &[usize], position: &mut [usize]| {
        for (at, slot) in column.iter().enumerate() {
            position[*slot] = at;
        }
    };
    order.iter().for_each(|column| note(column, &mut position));
    for sweep in 0..SWEEPS {
        let to_right = sweep % 2 == 0;
        let columns: Vec<usize> = if to_right { (0..order.len()).collect() } else { (0..order.len()).rev().collect() };
        for column in columns {
            let median = |slot: usize| {
                let neighbours = if to_right { &slots[slot].left } else { &slots[slot].right };
                let mut places: Vec<usize> = neighbours.iter().map(|neighbour| position[*neighbour]).collect();
                places.sort_unstable();
                places.get(places.len() / 2).copied()
            };
            let keys: Vec<(usize, usize)> =
                order[column].iter().map(|slot| (median(*slot).unwrap_or(position[*slot]), position[*slot])).collect();
            let mut sorted: Vec<((usize, usize), usize)> =
                keys.into_iter().zip(order[column].iter().copied()).collect();
            sorted.sort_unstable();
            order[column] = sorted.into_iter().map(|(_, slot)| slot).collect();
            note(&order[column], &mut position);
        }
    }
}

/// Each slot as near to the middle of its neighbours as the order of its column lets it.
fn set_heights(order: &[Vec<usize>], slots: &mut [Slot]) {
    for column in order {
        let mut y = 0.0;
        for slot in column {
            slots[*slot].y = y;
            y += slots[*slot].height + GAP_Y;
        }
    }
    for sweep in 0..SWEEPS {
        let to_right = sweep % 2 == 0;
        let columns: Vec<&Vec<usize>> = if to_right { order.iter().collect() } else { order.iter().rev().collect() };
        for column in columns {
            let wished: Vec<f64> = column
                .iter()
                .map(|index| {
                    let slot = &slots[*index];
                    let neighbours = if to_right { &slot.left } else { &slot.right };
                    if neighbours.is_empty() {
                        return slot.y;
                    }
                    let middle = |other: &usize| slots[*other].y + slots[*other].height / 2.0;
                    #[allow(clippy::cast_precision_loss)] // no site has 2^53 edges
                    let mean = neighbours.iter().map(middle).sum::<f64>() / neighbours.len() as f64;
                    mean - slot.height / 2.0
                })
                .collect();
            spread(column, &wished, slots);
        }
    }
}

/// Puts a column's slots at the wished places, in their order and apart: whoever would overlap share their shift.
fn spread(column: &[usize], wished: &[f64], slots: &mut [Slot]) {
    // Blocks of touching slots: (first, where it starts, sum of what its slots wish, slots, height).
    let mut blocks: Vec<(usize, f64, f64, usize, f64)> = vec![];
    for (at, (index, wish)) in column.iter().zip(wished).enumerate() {
        let mut block = (at, *wish, *wish, 1, slots[*index].height + GAP_Y);
        while let Some(before) = blocks.last().copied().filter(|before| before.1 + before.4 > block.1) {
            blocks.pop();
            #[allow(clippy::cast_precision_loss)] // as above
            let (count, shifted) = (before.3 + block.3, block.2 - before.4 * block.3 as f64);
            let sum = before.2 + shifted;
            #[allow(clippy::cast_precision_loss)] // as above
            let start = sum / count as f64;
            block = (before.0, start, sum, count, before.4 + block.4);
        }
        blocks.push(block);
    }
    for (first, start, _, count, _) in blocks {
        let mut y = start;
        for index in &column[first..first + count] {
            slots[*index].y = y;
            y += slots[*index].height + GAP_Y;
        }
    }
}
