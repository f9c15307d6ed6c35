#!/usr/bin/env bash
# Makes a book of the pages in target/book, and looks whether each of its links leads somewhere.
#
# The pages stand in it as they stand here, so their links hold in both. Needs mdbook (`cargo install mdbook --locked`) and python3.
set -euo pipefail
cd "$(dirname "$0")/.."
pages=(README.md docs/guide.md docs/meaning.md docs/promises.md docs/performance.md docs/faq.md docs/architecture.md wal-format.md
    CONTRIBUTING.md CHANGELOG.md)
for page in docs/*.md; do
    case " ${pages[*]} " in *" $page "*) ;; *) echo "book.sh: $page is not in the book" >&2; exit 1 ;; esac
done

rm -rf target/book target/book-src
mkdir -p target/book-src/docs
cp README.md wal-format.md CONTRIBUTING.md CHANGELOG.md LICENSE target/book-src/
cp docs/*.md docs/*.svg docs/*.png target/book-src/docs/
{
    echo "# Summary"
    for page in "${pages[@]}"; do
        printf -- '- [%s](%s)\n' "$(sed -n '/^# /{s///p;q}' "$page")" "$page"
    done
} >target/book-src/SUMMARY.md
mdbook build

python3 - <<'CHECK'
import html.parser, pathlib, sys, urllib.parse

book = pathlib.Path("target/book").resolve()
links, places = [], {}

class Page(html.parser.HTMLParser):
    def __init__(self, path):
        super().__init__()
        self.path = path
        places[path] = set()

    def handle_starttag(self, tag, attributes):
        for name, value in attributes:
            if name == "id":
                places[self.path].add(value)
            elif name in ("href", "src") and value:
                links.append((self.path, value))

for path in book.rglob("*.html"):
    if path.name not in ("print.html", "toc.html", "404.html"):
        Page(path).feed(path.read_text())
wrong = []
for page, link in links:
    parts = urllib.parse.urlsplit(link)
    if parts.scheme or parts.netloc:
        continue
    target = (page.parent / urllib.parse.unquote(parts.path)).resolve() if parts.path else page
    if not target.exists() or (parts.fragment and target in places and urllib.parse.unquote(parts.fragment) not in places[target]):
        wrong.append(f"{page.relative_to(book)}: {link}")
print(f"{len(places)} pages, {len(links)} links")
if wrong or len(places) < 10:
    sys.exit("these lead nowhere:\n" + "\n".join(wrong))
CHECK
