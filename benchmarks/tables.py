"""Writing the table of a benchmark: each line is printed when it is ready, and the file is written at the end."""


def write_table(lines, output=None):
    """Print ``lines`` one by one; once all are complete, write them to the file ``output``, if given."""
    written = []
    for line in lines:
        print(line, flush=True)
        written.append(line)
    if output:
        output.parent.mkdir(parents=True, exist_ok=True)
        partial = output.with_name(f"{output.name}.partial")
        partial.write_text("\n".join(written) + "\n")
        partial.replace(output)
