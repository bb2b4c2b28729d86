"""Tables of figures, and figures held against what was to be reached."""


def table(header, rows):
    widths = [max(len(str(r[i])) for r in [header] + rows) for i in range(len(header))]
    for row in [header] + rows:
        print("  " + "  ".join(str(c).ljust(w) if i == 0 else str(c).rjust(w) for i, (c, w) in enumerate(zip(row, widths))))


def figure(what, value, most, unit=""):
    """Prints whether value <= most; returns it."""
    ok = value <= most
    print(f"  {'reached' if ok else 'MISSED '}  {what}: {value:.2f}{unit}, at most {most:.2f}{unit}", flush=True)
    return ok
