"""A picture of a study as SVG: a panel for each measure, in it a line for each series, points with their deviation."""

import math
from html import escape

COLORS = ["#2f6fb0", "#d1652a", "#3d8c40", "#8a4fa3"]
WIDTH, HEIGHT = 380, 270  # of a panel's frame, pixels
LEFT, TOP, RIGHT, BOTTOM = 68, 92, 24, 62  # around it


def ticks(least, most):
    """Round numbers from the one to the other, at least three."""
    step = 10.0 ** math.floor(math.log10(most - least))
    while (most - least) / step < 3:
        step /= 2
    first = math.ceil(least / step - 1e-9)
    return [step * i for i in range(first, int(most / step + 1e-9) + 1)]


def number(value):
    return f"{value:,.0f}" if value >= 1000 else f"{value:.3g}"


def across(xs, logarithmic):
    """Where each x stands, 0..1: numbers on a line or by their logarithm, words side by side."""
    if not all(isinstance(x, (int, float)) for x in xs):
        return {x: (i + 0.5) / len(xs) for i, x in enumerate(xs)}
    places = {x: math.log(x) if logarithmic else float(x) for x in xs}
    least, most = min(places.values()), max(places.values())
    return {x: 0.06 + 0.88 * (place - least) / ((most - least) or 1) for x, place in places.items()}


def marks(places):
    """Those x whose labels do not touch."""
    kept = []
    for x in sorted(places, key=places.get):
        if not kept or places[x] - places[kept[-1]] > 0.14:
            kept.append(x)
    return kept


def panel(label, axis, lines, logarithmic, left):
    """One measure: lines is {series: [(x, mean, deviation)]}."""
    right, bottom, svg = left + WIDTH, TOP + HEIGHT, []
    points = [point for line in lines.values() for point in line]
    xs = list(dict.fromkeys(x for x, _, _ in points))
    if all(isinstance(x, (int, float)) for x in xs):
        xs.sort()
    places = across(xs, logarithmic)
    least, most = min(mean - sd for _, mean, sd in points), max(mean + sd for _, mean, sd in points)
    room = 0.08 * (most - least) or 1
    least, most = least - room, most + room

    def at(x, y):
        return left + WIDTH * places[x], bottom - HEIGHT * (y - least) / (most - least)

    for y in ticks(least, most):
        height = bottom - HEIGHT * (y - least) / (most - least)
        svg.append(f'<line class="grid" x1="{left}" y1="{height:.1f}" x2="{right}" y2="{height:.1f}"/>')
        svg.append(f'<text class="tick" x="{left - 8}" y="{height + 4:.1f}" text-anchor="end">{number(y)}</text>')
    for x in marks(places):
        place = left + WIDTH * places[x]
        text = number(x) if isinstance(x, (int, float)) else escape(x)
        svg.append(f'<line class="axis" x1="{place:.1f}" y1="{bottom}" x2="{place:.1f}" y2="{bottom + 5}"/>')
        svg.append(f'<text class="tick" x="{place:.1f}" y="{bottom + 20}" text-anchor="middle">{text}</text>')
    svg.append(f'<path class="axis" d="M{left} {TOP}V{bottom}H{right}" fill="none"/>')
    middle = left + WIDTH / 2
    svg.append(f'<text class="name" x="{middle}" y="{bottom + 44}" text-anchor="middle">{escape(axis)}</text>')
    svg.append(f'<text class="name" x="{left}" y="{TOP - 14}">{escape(label)}</text>')
    for (name, line), color in zip(lines.items(), COLORS):
        line = [(*at(x, mean), HEIGHT * sd / (most - least)) for x, mean, sd in line]
        svg.append(f'<g stroke="{color}" fill="{color}"><title>{escape(name)}</title>')
        if isinstance(xs[0], (int, float)):
            path = "L".join(f"{x:.1f} {y:.1f}" for x, y, _ in sorted(line))
            svg.append(f'<path d="M{path}" fill="none" stroke-width="1.5" stroke-opacity="0.6"/>')
        for x, y, sd in line:
            if sd:
                bar = f"M{x:.1f} {y - sd:.1f}V{y + sd:.1f}M{x - 4:.1f} {y - sd:.1f}h8M{x - 4:.1f} {y + sd:.1f}h8"
                svg.append(f'<path d="{bar}" fill="none" stroke-width="1.5"/>')
            svg.append(f'<circle cx="{x:.1f}" cy="{y:.1f}" r="4" stroke="#fff"/>')
        svg.append("</g>")
    return svg


def draw(title, axis, panels, logarithmic=False):
    """The SVG's text. panels: [(measure, {series: [(x, mean, standard deviation)]})]."""
    step = LEFT + WIDTH + RIGHT
    width, height = step * len(panels), TOP + HEIGHT + BOTTOM
    svg = [
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{height}" viewBox="0 0 {width} {height}">',
        "<style>text{font-family:system-ui,sans-serif;fill:#222}.title{font-size:17px;font-weight:600}"
        ".name{font-size:13px}.tick{font-size:12px;fill:#555}.grid{stroke:#e6e6e6}.axis{stroke:#888}</style>",
        f'<rect width="{width}" height="{height}" fill="#fff"/>',
        f'<text class="title" x="{LEFT}" y="30">{escape(title)}</text>',
    ]
    series = list(panels[0][1])
    place = LEFT
    for name, color in zip(series if len(series) > 1 else [], COLORS):
        svg.append(f'<circle cx="{place + 5}" cy="50" r="5" fill="{color}"/>')
        svg.append(f'<text class="name" x="{place + 15}" y="54.5">{escape(name)}</text>')
        place += 40 + 7.5 * len(name)
    for i, (label, lines) in enumerate(panels):
        svg += panel(label, axis, lines, logarithmic, LEFT + step * i)
    return "\n".join([*svg, "</svg>", ""])
