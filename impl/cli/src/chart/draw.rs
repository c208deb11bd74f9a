//! Draws a chart.

use super::{Chart, Horizontal, Panel, Point, Series, Style, nice};
use pbft_output::escape_xml;
use std::fmt::{Result, Write as _};

const WIDTH: f64 = 860.0;
/// Where the axes of a panel are.
const LEFT: f64 = 92.0;
const RIGHT: f64 = 830.0;
const PANEL_HEIGHT: f64 = 230.0;
/// From the top to the first panel, and from one panel to the next.
const FIRST: f64 = 92.0;
const PITCH: f64 = 344.0;

/// Looks that differ in colour, dash and mark.
const LOOKS: usize = 6;

/// The colours are of the palette of Okabe and Ito, which the common kinds of colour blindness leave distinct, darkened
/// on light and lightened on dark ground.
const STYLE: &str = "\
.chart text{font:15px system-ui,'DejaVu Sans',sans-serif;fill:#1c2230}\
.chart .title{font-size:18px;font-weight:600}\
.chart .paper{fill:#fff}.chart .grid{stroke:#d3d7de}.chart .axis{stroke:#55607a}\
.chart .line{fill:none;stroke-width:2.5;stroke-linejoin:round}\
.chart .spread{fill:none;stroke-width:1.6;opacity:.75}\
.chart .point{stroke-width:1.5;stroke:#fff}\
.chart .mark{stroke:#55607a;stroke-width:1.5;stroke-dasharray:2 4}\
.chart .d1{stroke-dasharray:8 4}.chart .d2{stroke-dasharray:2 3}.chart .d3{stroke-dasharray:10 3 2 3}\
.chart .d4{stroke-dasharray:5 2}.chart .d5{stroke-dasharray:1 3}\
.chart .s0{stroke:#0072b2}.chart .s1{stroke:#c14f00}.chart .s2{stroke:#00845f}\
.chart .s3{stroke:#9a3b78}.chart .s4{stroke:#6f5b00}.chart .s5{stroke:#4a5060}\
.chart .f0{fill:#0072b2}.chart .f1{fill:#c14f00}.chart .f2{fill:#00845f}\
.chart .f3{fill:#9a3b78}.chart .f4{fill:#6f5b00}.chart .f5{fill:#4a5060}\
@media(prefers-color-scheme:dark){\
.chart text{fill:#e3e7ef}.chart .paper{fill:#12151c}.chart .grid{stroke:#343b49}\
.chart .axis,.chart .mark{stroke:#a3adc2}.chart .point{stroke:#12151c}\
.chart .s0{stroke:#56b4e9}.chart .s1{stroke:#ff9a4d}.chart .s2{stroke:#2ecf9f}\
.chart .s3{stroke:#e79bc4}.chart .s4{stroke:#f0e442}.chart .s5{stroke:#b6bdcb}\
.chart .f0{fill:#56b4e9}.chart .f1{fill:#ff9a4d}.chart .f2{fill:#2ecf9f}\
.chart .f3{fill:#e79bc4}.chart .f4{fill:#f0e442}.chart .f5{fill:#b6bdcb}}";

pub(super) fn chart(svg: &mut String, chart: &Chart) -> Result {
    let height = FIRST + PITCH * chart.panels.len() as f64 - 18.0;
    let title = escape_xml(&chart.title);
    writeln!(
        svg,
        "<svg xmlns='http://www.w3.org/2000/svg' class='chart' viewBox='0 0 {WIDTH} {height}' role='img'>"
    )?;
    writeln!(svg, "<title>{title}</title>\n<style>{STYLE}</style>")?;
    writeln!(svg, "<rect class='paper' width='{WIDTH}' height='{height}'/>")?;
    writeln!(svg, "<text class='title' x='24' y='30'>{title}</text>")?;
    for (number, panel) in chart.panels.iter().enumerate() {
        let place = Place { panel, top: FIRST + PITCH * number as f64, scale: Scale::of(panel) };
        place.draw(svg)?;
    }
    writeln!(svg, "</svg>")
}

/// The vertical scale.
struct Scale {
    least: f64,
    most: f64,
    log: bool,
}

impl Scale {
    fn of(panel: &Panel) -> Self {
        let points = || panel.series.iter().flat_map(|series| &series.points);
        let values = points().flat_map(|point| {
            let (least, most) = point.spread.unwrap_or((point.y, point.y));
            [least, point.y, most]
        });
        let values: Vec<f64> = values.filter(|value| value.is_finite()).collect();
        let most = values.iter().copied().fold(0.0, f64::max);
        if panel.log {
            let least =
                values.iter().copied().filter(|value| *value > 0.0).fold(f64::MAX, f64::min);
            let most = if most > 0.0 { most } else { 1.0 };
            let (least, most) = (least.min(most).log10().floor(), most.log10().ceil());
            return Self { least, most: most.max(least + 1.0), log: true };
        }
        let most = panel.top.unwrap_or_else(|| nice(if most > 0.0 { most } else { 1.0 }));
        Self { least: 0.0, most, log: false }
    }

    /// Which part of the height a value has.
    fn part(&self, value: f64) -> f64 {
        let value = if self.log { value.max(1e-12).log10() } else { value };
        ((value - self.least) / (self.most - self.least)).clamp(0.0, 1.0)
    }

    /// The lines of the grid with their values.
    fn grid(&self) -> Vec<(f64, String)> {
        if !self.log {
            let quarter = |number: u32| {
                let part = f64::from(number) / 4.0;
                (part, number_text(self.most * part))
            };
            return (0..=4).map(quarter).collect();
        }
        let decades = (self.most - self.least) as u32;
        let step = decades.div_ceil(6).max(1);
        let line = |decade: u32| {
            let value = 10f64.powf(self.least + f64::from(decade));
            (f64::from(decade) / f64::from(decades), number_text(value))
        };
        (0..=decades).step_by(step as usize).map(line).collect()
    }
}

/// A number without traces of binary fractions, and with its thousands apart.
fn number_text(number: f64) -> String {
    if number.abs() < 1000.0 {
        return format!("{}", (number * 1e6).round() / 1e6);
    }
    let digits = format!("{number:.0}");
    let mut text = String::new();
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// A panel in its place.
struct Place<'a> {
    panel: &'a Panel,
    top: f64,
    scale: Scale,
}

impl Place<'_> {
    fn draw(&self, svg: &mut String) -> Result {
        self.legend(svg)?;
        self.vertical(svg)?;
        self.horizontal(svg)?;
        for (number, mark) in self.panel.marks.iter().enumerate() {
            let (x, bottom) = (self.x(mark.x), self.bottom());
            writeln!(svg, "<path class='mark' d='M{x:.1} {}V{bottom}'/>", self.top)?;
            let (anchor, shift) =
                if x > f64::midpoint(LEFT, RIGHT) { ("end", -5.0) } else { ("start", 5.0) };
            writeln!(
                svg,
                "<text x='{:.1}' y='{}' text-anchor='{anchor}'>{}</text>",
                x + shift,
                // Words of neighbours must not run into each other.
                self.top + 15.0 + 18.0 * (number % 3) as f64,
                escape_xml(&mark.text)
            )?;
        }
        let bars = self.panel.series.iter().filter(|series| self.is_bars(series)).count();
        let mut bar = 0;
        for (number, series) in self.panel.series.iter().enumerate() {
            if self.is_bars(series) {
                self.bars(svg, number, series, (bar, bars))?;
                bar += 1;
            } else {
                self.line(svg, number, series)?;
            }
        }
        Ok(())
    }

    fn bottom(&self) -> f64 {
        self.top + PANEL_HEIGHT
    }

    fn is_bars(&self, series: &Series) -> bool {
        series.style == Style::Bars && !self.scale.log
    }

    /// Where a value of the horizontal axis is.
    fn x(&self, x: f64) -> f64 {
        let part = match &self.panel.x {
            Horizontal::Numbers { from, to, .. } => (x - from) / (to - from).max(1e-9),
            Horizontal::Places { .. } => x,
            Horizontal::Names { names, .. } => (x + 0.5) / names.len().max(1) as f64,
        };
        LEFT + (RIGHT - LEFT) * part
    }

    fn y(&self, y: f64) -> f64 {
        self.top + PANEL_HEIGHT * (1.0 - self.scale.part(y))
    }

    /// What the vertical axis says, and above it the names of the series.
    fn legend(&self, svg: &mut String) -> Result {
        let y = self.top - 12.0;
        writeln!(svg, "<text x='24' y='{y}'>{}</text>", escape_xml(&self.panel.y))?;
        if self.panel.series.len() < 2 {
            return Ok(());
        }
        let width = |series: &Series| 44.0 + 8.6 * series.name.chars().count() as f64;
        // On a line of its own: it may be as wide as the panel.
        let y = y - 22.0;
        let mut x = LEFT.min(RIGHT - self.panel.series.iter().map(width).sum::<f64>());
        for (number, series) in self.panel.series.iter().enumerate() {
            let look = number % LOOKS;
            let middle = y - 5.0;
            if self.is_bars(series) {
                writeln!(
                    svg,
                    "<rect class='f{look}' x='{}' y='{}' width='16' height='12'/>",
                    x + 10.0,
                    y - 11.0
                )?;
            } else {
                if series.style != Style::Bars {
                    writeln!(svg, "<path class='line s{look} d{look}' d='M{x} {middle}h30'/>")?;
                }
                if series.style != Style::Line {
                    mark(svg, look, x + 15.0, middle)?;
                }
            }
            writeln!(svg, "<text x='{}' y='{y}'>{}</text>", x + 36.0, escape_xml(&series.name))?;
            x += width(series);
        }
        Ok(())
    }

    fn vertical(&self, svg: &mut String) -> Result {
        for (part, value) in self.scale.grid() {
            let y = self.top + PANEL_HEIGHT * (1.0 - part);
            let class = if part == 0.0 { "axis" } else { "grid" };
            writeln!(svg, "<path class='{class}' d='M{LEFT} {y:.1}H{RIGHT}'/>")?;
            let x = LEFT - 8.0;
            writeln!(svg, "<text x='{x}' y='{:.1}' text-anchor='end'>{value}</text>", y + 5.0)?;
        }
        Ok(())
    }

    fn horizontal(&self, svg: &mut String) -> Result {
        let bottom = self.bottom();
        let (label, ticks) = match &self.panel.x {
            Horizontal::Numbers { label, from, to } => {
                let step = nice((to - from) / 10.0);
                let first = (from / step).ceil() as i64;
                let last = (to / step + 1e-9).floor() as i64;
                let tick = |number: i64| {
                    let value = number as f64 * step;
                    (self.x(value), number_text(value))
                };
                (label, (first..=last).map(tick).collect::<Vec<_>>())
            }
            Horizontal::Places { label, ticks } => {
                (label, ticks.iter().map(|(at, name)| (self.x(*at), name.clone())).collect())
            }
            Horizontal::Names { label, names } => {
                let each = names.iter().enumerate();
                (label, each.map(|(at, name)| (self.x(at as f64), name.clone())).collect())
            }
        };
        for (x, name) in ticks {
            writeln!(svg, "<path class='axis' d='M{x:.1} {bottom}v5'/>")?;
            let y = bottom + 21.0;
            writeln!(
                svg,
                "<text x='{x:.1}' y='{y}' text-anchor='middle'>{}</text>",
                escape_xml(&name)
            )?;
        }
        let (x, y) = (f64::midpoint(LEFT, RIGHT), bottom + 43.0);
        writeln!(svg, "<text x='{x}' y='{y}' text-anchor='middle'>{}</text>", escape_xml(label))
    }

    fn line(&self, svg: &mut String, number: usize, series: &Series) -> Result {
        let look = number % LOOKS;
        if series.style != Style::Bars && !series.points.is_empty() {
            write!(svg, "<path class='line s{look} d{look}' d='")?;
            for (position, point) in series.points.iter().enumerate() {
                let command = if position == 0 { 'M' } else { 'L' };
                write!(svg, "{command}{:.1} {:.1}", self.x(point.x), self.y(point.y))?;
            }
            writeln!(svg, "'/>")?;
        }
        // Spreads of several series at the same place would hide each other.
        let shift = 4.0 * (number as f64 - (self.panel.series.len() as f64 - 1.0) / 2.0);
        // So would marks without a line.
        let aside = if series.style == Style::Bars { 4.0 * shift } else { 0.0 };
        for point in &series.points {
            let x = self.x(point.x) + aside;
            self.spread(svg, look, x + shift, point)?;
            if series.style != Style::Line {
                mark(svg, look, x, self.y(point.y))?;
            }
        }
        Ok(())
    }

    fn bars(
        &self,
        svg: &mut String,
        number: usize,
        series: &Series,
        (bar, bars): (usize, usize),
    ) -> Result {
        let look = number % LOOKS;
        let names = match &self.panel.x {
            Horizontal::Names { names, .. } => names.len().max(1),
            _ => series.points.len().max(1),
        };
        let room = (RIGHT - LEFT) / names as f64 * 0.7;
        let width = (room / bars as f64).min(60.0);
        for point in &series.points {
            let x = self.x(point.x) + width * (bar as f64 - bars as f64 / 2.0);
            let (y, bottom) = (self.y(point.y), self.bottom());
            writeln!(
                svg,
                "<rect class='bar f{look}' x='{:.1}' y='{y:.1}' width='{:.1}' height='{:.1}'/>",
                x + 1.0,
                width - 2.0,
                (bottom - y).max(0.0)
            )?;
            self.spread(svg, look, x + width / 2.0, point)?;
        }
        Ok(())
    }

    /// From the least to the most that was seen.
    fn spread(&self, svg: &mut String, look: usize, x: f64, point: &Point) -> Result {
        let Some((least, most)) = point.spread.filter(|(least, most)| most > least) else {
            return Ok(());
        };
        let (low, high) = (self.y(least), self.y(most));
        let (left, right) = (x - 5.0, x + 5.0);
        writeln!(
            svg,
            "<path class='spread s{look}' d='M{left:.1} {low:.1}H{right:.1}M{x:.1} {low:.1}V{high:.1}\
             M{left:.1} {high:.1}H{right:.1}'/>"
        )
    }
}

/// The mark of a series: a disc, a square, a diamond, a triangle, and so on.
fn mark(svg: &mut String, look: usize, x: f64, y: f64) -> Result {
    let shape = match look {
        0 => {
            return writeln!(
                svg,
                "<circle class='point f{look}' cx='{x:.1}' cy='{y:.1}' r='5.5'/>"
            );
        }
        1 => "m-5 -5h10v10h-10z",
        2 => "m0 -7l7 7l-7 7l-7 -7z",
        3 => "m0 -7l7 12h-14z",
        4 => "m0 7l7 -12h-14z",
        _ => "m-7 -2.5h4.5v-4.5h5v4.5h4.5v5h-4.5v4.5h-5v-4.5h-4.5z",
    };
    writeln!(svg, "<path class='point f{look}' d='M{x:.1} {y:.1}{shape}'/>")
}
