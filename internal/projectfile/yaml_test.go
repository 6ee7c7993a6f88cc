package projectfile_test

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/towpath/towpath/internal/projectfile"
	"github.com/towpath/towpath/internal/towpath"
)

func TestParse_RefusesWhatIsNoPlainYAML(t *testing.T) {
	bomb := "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n"
	for i := 1; i < 12; i++ {
		alias := fmt.Sprintf("*a%d", i-1)
		bomb += fmt.Sprintf("a%d: &a%d [%s]\n", i, i, strings.Repeat(alias+", ", 9)+alias)
	}
	for _, tt := range []struct{ name, src, want string }{
		{"an empty file", "", "the file is empty"},
		{"a file of comments", "# nothing\n", "the file is empty"},
		{"a file that is too large", strings.Repeat("#", 1<<20+1), "bytes, and at most"},
		{"a file that is not UTF-8", "version: \xff\n", "the file is not UTF-8"},
		{"a list", "- a\n", "a map is wanted, and this is a list"},
		{"a bad indentation", "version: 1\n project: a\n", "this is not YAML"},
		{"an open quote", "version: \"1\n", "this is not YAML"},
		{"a duplicate key", "version: 1\nversion: 1\n", `towpath.yaml:2:1: the key "version" stands here a second time (the first is in line 1)`},
		{"two documents", "version: 1\n---\nversion: 1\n", "there is a second document"},
		{"a tag", "version: !!int 1\n", "tags are not read"},
		{"a complex key", "? a\n: b\n", "keys with a question mark"},
		{"an unknown alias", "version: *v\n", "there is no anchor &v above"},
		{"an alias inside its own anchor", "x-a: &a [*a]\n", "there is no anchor &a above"},
		{"flow nested deeply", strings.Repeat("[", 500_000), "nested deeper"},
		{"lists nested deeply in one line", strings.Repeat("- ", 400_000) + "a", "nested deeper"},
		{"blocks nested deeply", nested(200), "nested too deeply"},
		{"aliases that multiply", bomb, "too many values"},
		{"many anchors", strings.Repeat("- &a b\n", 200), "more than 100 anchors"},
	} {
		t.Run("refuses "+tt.name, func(t *testing.T) {
			_, err := projectfile.Parse([]byte(tt.src), builders())
			if got := problemsOf(t, err).Error(); !strings.Contains(got, tt.want) {
				t.Errorf("the report lacks %q: %.500s", tt.want, got)
			}
		})
	}
}

func nested(depth int) string {
	var b strings.Builder
	for i := range depth {
		b.WriteString(strings.Repeat(" ", i) + "a:\n")
	}
	return b.String()
}

func TestParse_ReadsAnchors(t *testing.T) {
	src := `version: 1
project: shop
x-base: &base {kind: process, path: ., process: {command: [a]}}
components:
  one: *base
  two: {<<: *base, path: two}
environments: {dev: }
`
	p, err := projectfile.Parse([]byte(src), builders())
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, c := range p.Components {
		got = append(got, string(c.Name)+" "+c.Path+" "+string(c.Spec))
	}
	want := []string{`one . {"command":["a"]}`, `two two {"command":["a"]}`}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

// TestParse_IsQuickOnLargeFiles holds the limits to their purpose: no file
// within them takes long.
func TestParse_IsQuickOnLargeFiles(t *testing.T) {
	for name, src := range map[string]string{
		"many components": "version: 1\nproject: a\ncomponents:\n" + strings.Repeat("  c: {kind: process}\n", 8_000),
		"a long text":     "version: 1\nproject: \"" + strings.Repeat("x", 1<<20-50) + "\"\n",
		"a long comment":  strings.Repeat("# x\n", 1<<18),
		"brackets closed": strings.Repeat("[]", 1<<18),
		"colons":          strings.Repeat("a: ", 1<<17),
		"dashes":          strings.Repeat("- a\n", 1<<18),
		"a long chain":    chain(4_000),
		"many of both":    "version: 1\nproject: a\ncomponents:\n" + entries("c", 4_000, "{kind: process, path: a}") + "environments:\n" + entries("e", 4_000, ""),
	} {
		t.Run(name, func(t *testing.T) {
			began := time.Now()
			_, err := projectfile.Parse([]byte(src), builders())
			if err == nil {
				t.Error("it is accepted")
			}
			if took := time.Since(began); took > time.Minute {
				t.Errorf("it took %s", took)
			}
		})
	}
}

func chain(n int) string {
	var b strings.Builder
	b.WriteString("version: 1\nproject: a\ncomponents:\n")
	for i := range n {
		fmt.Fprintf(&b, "  c%d: {kind: process, dependsOn: [c%d]}\n", i, (i+1)%n)
	}
	return b.String()
}

func entries(name string, n int, value string) string {
	var b strings.Builder
	for i := range n {
		fmt.Fprintf(&b, "  %s%d: %s\n", name, i, value)
	}
	return b.String()
}

func TestParse_RefusesControlCharacters(t *testing.T) {
	for _, tt := range []struct{ section, want string }{
		{`command: ["a\e[8m"]`, `4:55: the text "a\x1b[8m" has a control character`},
		{`command: [a], env: {"A\a": b}`, `the text "A\a" has a control character`},
		{`command: [sh, "a\n\tb"]`, ""},
	} {
		src := "version: 1\nproject: shop\ncomponents:\n  api: {kind: process, path: api, process: {" + tt.section + "}}\nenvironments: {prod: {}}\n"
		_, err := projectfile.Parse([]byte(src), builders())
		if got := problemsOf(t, err).Error(); (got == "") != (tt.want == "") || !strings.Contains(got, tt.want) {
			t.Errorf("%s: %s", tt.section, got)
		}
	}
}

// acceptable makes sure that whoever takes in what is made of a file finds nothing
// wrong with its rules.
func acceptable(t *testing.T, p *towpath.ProjectSpec) {
	t.Helper()
	if p == nil {
		return
	}
	for _, e := range p.Environments {
		for _, f := range e.Faults() {
			t.Errorf("the parser accepts what no server takes: %s.%s: %s", e.Name, f.Path, f.Message)
		}
	}
}

func FuzzParse(f *testing.F) {
	names, err := filepath.Glob(filepath.Join("testdata", "*.yaml"))
	if err != nil {
		f.Fatal(err)
	}
	for _, name := range names {
		b, err := os.ReadFile(name)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(b)
	}
	f.Add(projectfile.Template("shop"))
	f.Add([]byte("a: &a [b, *a]\n? x\n: !!t {<<: *a}\n--- |\n  text\n"))
	f.Fuzz(func(t *testing.T, src []byte) {
		p, err := projectfile.Parse(src, builders())
		if (p == nil) == (err == nil) {
			t.Fatalf("spec %v with error %v", p, err)
		}
		for _, x := range problemsOf(t, err) {
			if x.Line < 1 || x.Column < 1 || x.Message == "" {
				t.Errorf("a problem lacks its place or its message: %+v", x)
			}
		}
		acceptable(t, p)
		again, err2 := projectfile.Parse(src, builders())
		if diff := cmp.Diff(p, again); diff != "" {
			t.Errorf("a second parse differs: %s", diff)
		}
		if fmt.Sprint(err) != fmt.Sprint(err2) {
			t.Errorf("a second parse fails otherwise: %v, then %v", err, err2)
		}
	})
}
