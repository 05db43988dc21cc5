//! What is drawn and written, looked at from the outside.

use report::{
    Axis, Cell, Dots, Foot, Grid, Head, Key, Kind, Line, Map, Mark, Panel, Row, Sheet, Stroke, Svg,
    Table, Text, heat_png, html,
};

const EVIL: &str = "</title></svg><script>alert(1)</script>&\"\u{1}";

fn panel() -> Panel {
    Panel::new(Axis::linear(0.0, 1.0, "x"), Axis::log(1e-3, 1.0, "y"))
}

/// Names of any kind are text, in pages, tables and figures; no character is left that XML forbids.
#[test]
fn names_of_any_kind_stay_text() {
    let line = Line::new(EVIL, "#123456", vec![(0.1, 0.1), (0.9, 0.5)]);
    let dots = Dots::marks(Mark::Disc, "#123456", vec![(0.5, 0.5)], vec![EVIL.into()]);
    let panel = panel().title(EVIL).line(line.clone()).dots(dots).note((0.2, 0.2), EVIL.into());
    let grid = Grid::row(vec![panel]).legend(vec![Key::Line(line), Key::Words(EVIL.into())]);
    let figure = grid.figure("figure", EVIL);
    assert!(!figure.svg.0.contains("<script") && !figure.svg.0.contains('\u{1}'));
    assert!(figure.png().expect("valid SVG").starts_with(b"\x89PNG"));
    let mut sheet = Sheet::new(EVIL, html! { (EVIL) });
    sheet.section(EVIL, html! { b { (EVIL) } });
    sheet.figure(figure, html! { (EVIL) });
    let cell = Cell { text: EVIL.into(), error: EVIL.into(), beside: EVIL.into(), best: true };
    sheet.table(Table::new("table", 1, &[EVIL]).rows([vec![cell]]).folded(EVIL));
    let head = Head { window: EVIL.into(), kicker: EVIL.into(), warning: Some(EVIL.into()) };
    let facts = vec![(EVIL.to_string(), EVIL.to_string())];
    let foot = Foot { repeats: EVIL.into(), command: EVIL.into(), facts, config: EVIL.into() };
    let page = sheet.html(&head, &foot).into_string();
    assert!(!page.contains("<script") && page.contains("<b>&lt;/title&gt;&lt;/svg&gt;&lt;script"));
    for needle in ["src=\"http", "href=\"http", "url(http", "@import", "<link"] {
        assert!(!page.contains(needle), "{needle}");
    }
}

/// Neighbours with one axis share its name; those with two do not.
#[test]
fn axes_are_written_once() {
    let count = |grid: &Grid, needle: &str| {
        grid.figure("a", "").svg.0.matches(&format!(">{needle}</text>")).count()
    };
    let same = Grid::new(vec![panel(); 4], 2);
    assert_eq!((count(&same, "x"), count(&same, "y")), (2, 2));
    let other = Panel::new(Axis::linear(0.0, 2.0, "x"), Axis::linear(0.0, 2.0, "y"));
    let different = Grid::new(vec![panel(), other.clone(), other, panel()], 2);
    assert_eq!((count(&different, "x"), count(&different, "y")), (4, 4));
}

/// Names at the right end of lines that end together do not lie on each other, and lie inside.
#[test]
fn names_of_lines_are_pushed_apart() {
    let line = |name: &str| Line::new(name, "#123456", vec![(0.0, 0.5), (1.0, 0.5)]);
    let drawn = Grid::row(vec![panel().line(line("alpha")).line(line("beta"))]).figure("a", "");
    let y = |name: &str| -> f64 {
        let end = drawn.svg.0.find(&format!(">{name}</text>")).expect("the name");
        let text = &drawn.svg.0[drawn.svg.0[..end].rfind("<text").expect("its element")..];
        let y = text.split(" y=\"").nth(1).and_then(|t| t.split('"').next());
        y.expect("a coordinate").parse().expect("a number")
    };
    assert!((y("alpha") - y("beta")).abs() >= 14.0, "{} {}", y("alpha"), y("beta"));
}

#[test]
fn tables_are_values_for_other_programs() {
    let mut table = Table::new("t", 1, &["who", "W_{2}^{2}"]);
    table.rows.push(Row::new(vec!["a, \"b\"".into(), Cell::with_error(-0.5, Some(0.011))]));
    let floor = vec!["floor".into(), Cell::number(1e-5)];
    table.rows.push(Row { cells: floor, kind: Kind::Floor });
    assert_eq!(
        table.csv(),
        "who,W_{2}^{2},standard error\n\"a, \"\"b\"\"\",-0.500,0.011\nfloor,1.0e-5,\n"
    );
    let html = table.html().into_string();
    assert!(
        html.contains("W<sub>2</sub><sup>2</sup>") && html.contains("class=\"floor last\""),
        "{html}"
    );
    assert!(html.contains("\u{2212}0.500<span class=\"se\"> \u{b1} 0.011</span>"), "{html}");
}

/// The typeface and the pictures of a PNG come from this crate alone.
#[test]
fn pngs_hold_text_and_pictures() {
    let heat = ndarray::array![[0.0, 1.0], [1.0, 0.0]];
    let png = heat_png(heat.view(), Map::Sequential, 0.0, 1.0).expect("a picture");
    let mut svg = Svg::new(100.0, 60.0);
    svg.image((10.0, 10.0), (40.0, 40.0), &png, "");
    svg.text((60.0, 30.0), "W_{2}^{2}", &Text { fill: "#000", ..Text::default() });
    svg.line(&[(0.0, 55.0), (100.0, 55.0)], &Stroke::new("#ff0000", 2.0));
    let drawn = report::Figure::new("a", &svg, "").png().expect("a picture");
    let image = image::load_from_memory(&drawn).expect("a PNG").to_rgb8();
    assert_eq!((image.width(), image.height()), (200, 120));
    let count = |wanted: [u8; 3]| image.pixels().filter(|p| p.0 == wanted).count();
    // Half of 80 x 80 pixels each of the two ends of the map; some ink to the right of it.
    assert!(count([253, 231, 37]) > 3000 && count([68, 1, 84]) > 3000);
    let ink = image.enumerate_pixels().filter(|(x, y, p)| *x > 110 && *y < 100 && p.0[0] < 100);
    assert!(ink.count() > 30);
    assert!(count([255, 0, 0]) > 300);
}
