"""What all benchmarks do with their lines: print each as it comes, and write all when complete."""


def write_table(lines, output=None):
    """Print ``lines`` one by one; write them to the file ``output``, if given, once all are there."""
    written = []
    for line in lines:
        print(line, flush=True)
        written.append(line)
    if output:
        output.parent.mkdir(parents=True, exist_ok=True)
        partial = output.with_name(f"{output.name}.partial")
        partial.write_text("\n".join(written) + "\n")
        partial.replace(output)
