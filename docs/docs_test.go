// Package docs holds the documentation, and the tests that keep it true.
package docs

import (
	"bytes"
	"flag"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/towpath/towpath/internal/towpath"
)

var update = flag.Bool("update", false, "write generated documents")

const module = "github.com/towpath/towpath/"

// packages lists the module's packages, without those of tests and samples.
func packages(t *testing.T) []string {
	t.Helper()
	cmd := exec.Command("go", "list", "./...")
	cmd.Dir = ".."
	out, err := cmd.Output()
	if err != nil {
		t.Fatal(err)
	}
	var all []string
	for line := range strings.Lines(string(out)) {
		all = append(all, strings.TrimPrefix(strings.TrimSpace(line), module))
	}
	return all
}

func read(t *testing.T, path string) string {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

func TestStates(t *testing.T) {
	var b bytes.Buffer
	fmt.Fprintln(&b, "# States")
	fmt.Fprintln(&b, "\nGenerated from the tables of transitions in `internal/towpath`; nothing else assigns a phase.")
	for _, noun := range []struct {
		name string
		rows []towpath.Row
	}{
		{"Promotion", towpath.PromotionTransitions().Rows()},
		{"Deployment", towpath.DeploymentTransitions().Rows()},
		{"Operation", towpath.OperationTransitions().Rows()},
	} {
		fmt.Fprintf(&b, "\n## %s\n\n```mermaid\nstateDiagram-v2\n", noun.name)
		for _, r := range noun.rows {
			id := func(s string) string { return strings.ReplaceAll(s, "-", "_") }
			fmt.Fprintf(&b, "  %s --> %s: %s\n", id(r.From), id(r.To), r.Trigger)
		}
		fmt.Fprintf(&b, "```\n\n| from | when | to |\n|---|---|---|\n")
		for _, r := range noun.rows {
			fmt.Fprintf(&b, "| %s | %s | %s |\n", r.From, r.Trigger, r.To)
		}
	}
	if *update {
		if err := os.WriteFile("states.md", b.Bytes(), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if read(t, "states.md") != b.String() {
		t.Error("docs/states.md is stale; run: go test ./docs -run TestStates -update")
	}
}

func TestArchitecture_NamesEveryPackage(t *testing.T) {
	named := map[string]bool{}
	for _, m := range regexp.MustCompile("(?m)^\\| `([a-z0-9/]+)` \\|").FindAllStringSubmatch(read(t, "architecture.md"), -1) {
		named[m[1]] = true
	}
	for _, p := range packages(t) {
		if !named[p] {
			t.Errorf("docs/architecture.md does not name the package %s", p)
		}
		delete(named, p)
	}
	for p := range named {
		t.Errorf("docs/architecture.md names %s, which does not exist", p)
	}
}

// layers are the module's packages from the top down: a package imports only
// what stands on a line above its own. The reasons are in architecture.md.
var layers = [][]string{
	{"internal/towpath", "internal/didyoumean", "internal/loopback", "internal/failpoint"},
	{"internal/gate", "internal/rollout", "internal/analysis", "internal/experiment", "internal/drift", "internal/access"},
	{"internal/reconcile", "internal/sqldb", "internal/blob", "internal/merkle", "internal/oci", "internal/secretscan", "internal/pin"},
	{"internal/ledger", "internal/evidence"},
	{"internal/signing", "internal/replicate"},
	{"internal/release", "internal/promote", "internal/deploy", "internal/inventory", "internal/account", "internal/project", "internal/audit", "internal/registry", "internal/trust", "internal/replication", "internal/place", "internal/mirror"},
	{"internal/store", "internal/store/migrations"},
	{"internal/kind", "internal/kind/process/route"},
	{"internal/kind/process"},
	{"internal/promql/query"},
	{"internal/kind/process/build", "internal/kind/process/run", "internal/build", "internal/agentrpc", "internal/router", "internal/git", "internal/projectfile"},
	{"internal/agent", "internal/resolve", "internal/promql"},
	{"internal/http/rest/api"},
	{"internal/http/rest", "internal/http/rest/client", "internal/http/ocidist"},
	{"internal/cli"},
	{"internal/app/agent", "internal/app/builder", "internal/app/server"},
	{"internal/app/dev"},
	{"internal/app/demo"},
	{"internal/app"},
	{"internal/app/stories", "internal/app/crashtest"},
	{"cmd/towpath"},
}

// What decides is a function: nothing in it runs beside anything else. The race
// detector leaves the simulations of internal/analysis out for that.
func TestArchitecture_DecidersStartNothing(t *testing.T) {
	for _, dir := range layers[1] {
		files, err := filepath.Glob(filepath.Join("..", dir, "*.go"))
		if err != nil || len(files) == 0 {
			t.Fatalf("%s: %d files, %v", dir, len(files), err)
		}
		for _, path := range files {
			if strings.HasSuffix(path, "_test.go") {
				continue
			}
			file, err := parser.ParseFile(token.NewFileSet(), path, nil, 0)
			if err != nil {
				t.Fatal(err)
			}
			for _, imp := range file.Imports {
				if strings.HasPrefix(imp.Path.Value, `"sync`) {
					t.Errorf("%s imports %s: who has to wait is not pure", path, imp.Path.Value)
				}
			}
			ast.Inspect(file, func(n ast.Node) bool {
				switch n.(type) {
				case *ast.GoStmt, *ast.ChanType, *ast.SelectStmt:
					t.Errorf("%s starts something or waits for it", path)
				}
				return true
			})
		}
	}
}

func TestArchitecture_ImportsPointUp(t *testing.T) {
	level := map[string]int{}
	for i, l := range layers {
		for _, p := range l {
			level[p] = i
		}
	}
	cmd := exec.Command("go", "list", "-f", `{{.ImportPath}}{{range .Imports}} {{.}}{{end}}`, "./cmd/...", "./internal/...")
	cmd.Dir = ".."
	out, err := cmd.Output()
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(out)) {
		fields := strings.Fields(line)
		from := strings.TrimPrefix(fields[0], module)
		if strings.HasPrefix(from, "internal/towpathtest") || strings.Contains(from, "test") {
			continue
		}
		have, known := level[from]
		if !known {
			t.Errorf("%s stands in no layer", from)
			continue
		}
		for _, imp := range fields[1:] {
			to, ours := strings.CutPrefix(imp, module)
			if !ours || strings.HasPrefix(to, "examples") {
				continue
			}
			if above, known := level[to]; !known || above >= have && to != "internal/store/migrations" {
				t.Errorf("%s imports %s, which does not stand above it", from, to)
			}
		}
	}
}

// decide may not do I/O, look at the clock or be cancelled.
func TestArchitecture_DecidersArePure(t *testing.T) {
	forbidden := []string{"os", "net", "net/http", "database/sql", "context", "io/fs", "os/exec", "log/slog", "math/rand", "math/rand/v2"}
	for _, p := range layers[1] {
		cmd := exec.Command("go", "list", "-f", `{{range .Imports}}{{.}} {{end}}`, "./"+p)
		cmd.Dir = ".."
		out, err := cmd.Output()
		if err != nil {
			t.Fatal(err)
		}
		for imp := range strings.FieldsSeq(string(out)) {
			if slices.Contains(forbidden, imp) {
				t.Errorf("%s decides, and imports %s", p, imp)
			}
		}
	}
}

func sources(t *testing.T) []string {
	t.Helper()
	var files []string
	for _, root := range []string{"../cmd", "../internal", "../scripts", "../examples"} {
		err := filepath.WalkDir(root, func(path string, d os.DirEntry, err error) error {
			if err == nil && strings.HasSuffix(path, ".go") {
				files = append(files, path)
			}
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	return files
}

func TestHouse_FilesAreShort(t *testing.T) {
	for _, f := range sources(t) {
		if n := strings.Count(read(t, f), "\n"); n > 700 {
			t.Errorf("%s has %d lines; split it by responsibility", f, n)
		}
	}
}

func TestHouse_EveryPackageSaysWhatItOwns(t *testing.T) {
	documented := map[string]bool{}
	comment := regexp.MustCompile(`(?m)^// (Package|Command) \w+`)
	dirs := map[string]bool{}
	for _, f := range sources(t) {
		if strings.HasSuffix(f, "_test.go") {
			continue
		}
		dirs[filepath.Dir(f)] = true
		if comment.MatchString(read(t, f)) {
			documented[filepath.Dir(f)] = true
		}
	}
	for d := range dirs {
		if !documented[d] {
			t.Errorf("%s has no package comment", d)
		}
	}
}

func TestContracts_AreHeldByTestsThatExist(t *testing.T) {
	text := read(t, "contracts.md")
	tests := map[string]bool{}
	name := regexp.MustCompile(`(?m)^func ((?:Test|Fuzz|Benchmark)\w+)`)
	for _, f := range sources(t) {
		if strings.HasSuffix(f, "_test.go") {
			for _, m := range name.FindAllStringSubmatch(read(t, f), -1) {
				tests[m[1]] = true
			}
		}
	}
	sections := strings.Split(text, "\n## ")[1:]
	if len(sections) != 10 {
		t.Errorf("there are %d contracts, want 10", len(sections))
	}
	for _, s := range sections {
		title, _, _ := strings.Cut(s, "\n")
		named := regexp.MustCompile("`((?:Test|Fuzz|Benchmark)\\w+)`").FindAllStringSubmatch(s, -1)
		if len(named) == 0 {
			t.Errorf("no test holds the contract %q", title)
		}
		for _, m := range named {
			if !tests[m[1]] {
				t.Errorf("the contract %q names %s, which does not exist", title, m[1])
			}
		}
	}
}

// documents are all pages that people read, by their path from the root.
func documents(t *testing.T) map[string]string {
	t.Helper()
	pages := map[string]string{}
	for _, pattern := range []string{"../*.md", "*.md", "*/*.md", "../examples/*/*.md"} {
		files, err := filepath.Glob(pattern)
		if err != nil {
			t.Fatal(err)
		}
		for _, f := range files {
			pages[f] = read(t, f)
		}
	}
	return pages
}

func TestDocuments_LinksLeadSomewhere(t *testing.T) {
	link := regexp.MustCompile(`\]\(([^)#:]+)(#[^)]*)?\)`)
	for page, text := range documents(t) {
		for _, m := range link.FindAllStringSubmatch(text, -1) {
			if _, err := os.Stat(filepath.Join(filepath.Dir(page), m[1])); err != nil {
				t.Errorf("%s links to %s, which does not exist", page, m[1])
			}
		}
	}
}

// TestDocuments_CommandsExist asks the binary for the help of every command
// that a page names, and looks for the flags in it.
func TestDocuments_CommandsExist(t *testing.T) {
	bin := filepath.Join(t.TempDir(), "towpath")
	build := exec.CommandContext(t.Context(), "go", "build", "-o", bin, "../cmd/towpath")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	help := map[string]string{}
	ask := func(command string) string {
		if _, asked := help[command]; !asked {
			out, err := exec.CommandContext(t.Context(), bin, append(strings.Fields(command), "--help")...).Output()
			if err != nil {
				out = nil
			}
			help[command] = string(out)
		}
		return help[command]
	}
	named := regexp.MustCompile("(?m)(?:^|`|&& |bin/)towpath ([a-z][^`\n#&]*)")
	flag := regexp.MustCompile(`(?:^| )(--[a-z-]+)`)
	seen := 0
	for page, text := range documents(t) {
		for _, m := range named.FindAllStringSubmatch(text, -1) {
			words := strings.Fields(m[1])
			command := words[0]
			// A group's command has a second word: towpath release build.
			if len(words) > 1 && strings.Contains(ask(command), "Usage:\n  towpath "+command+" [flags]\n  towpath "+command+" COMMAND") {
				command += " " + words[1]
			}
			text := ask(command)
			if !strings.Contains(text, "towpath "+command) {
				t.Errorf("%s names `towpath %s`, which does not exist", page, command)
				continue
			}
			for _, f := range flag.FindAllStringSubmatch(m[1], -1) {
				if !strings.Contains(text, f[1]) {
					t.Errorf("%s says `towpath %s`, which has no %s", page, strings.TrimSpace(m[1]), f[1])
				}
			}
			seen++
		}
	}
	if seen < 20 {
		t.Errorf("only %d commands were found in the documentation; this test reads it wrongly", seen)
	}
}

func TestReadme_CommandsExist(t *testing.T) {
	makefile := read(t, "../Makefile")
	for _, m := range regexp.MustCompile(`(?m)^make ([a-z-]+)`).FindAllStringSubmatch(read(t, "../README.md"), -1) {
		if !strings.Contains(makefile, "\n"+m[1]+":") {
			t.Errorf("README.md says `make %s`, which does not exist", m[1])
		}
	}
}

func TestHouse_NoPathOfAnyonesMachine(t *testing.T) {
	cmd := exec.Command("git", "ls-files", "-z")
	cmd.Dir = ".."
	out, err := cmd.Output()
	if err != nil {
		t.Fatal(err)
	}
	private := regexp.MustCompile(`(?m)(^|[\s"'=(])/(work|root)/`)
	for f := range strings.SplitSeq(strings.TrimRight(string(out), "\x00"), "\x00") {
		b, err := os.ReadFile(filepath.Join("..", f))
		if err == nil && f != "docs/docs_test.go" && private.Match(b) {
			t.Errorf("%s holds a path of somebody's machine", f)
		}
	}
}
