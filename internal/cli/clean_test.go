package cli

import (
	"bytes"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/towpath/towpath/internal/towpath"
)

// TestPage_ValuesAreOneLine: what comes from outside adds no line to a page, and
// changes neither colour nor order of what is on it.
func TestPage_ValuesAreOneLine(t *testing.T) {
	const forged = "shop-prod\nregion: eu-west-1\x1b[8m\x1b[31m\u202etfel\u2028x\x1b[;nregion: y\x00"
	const shown = "shop-prod↵region: eu-west-1\uFFFD[8m\uFFFD[31m\uFFFDtfel↵x\uFFFD[;nregion: y\uFFFD"
	for name, on := range map[string]bool{"in colour": true, "without colour": false} {
		t.Run(name, func(t *testing.T) {
			red := func(text string) string {
				if on {
					return "\x1b[1;91m" + text + "\x1b[m"
				}
				return text
			}
			st := newStyle(on)
			p := &page{style: st}
			p.line("\nvalue %s", forged)
			p.line("%s", p.style.bad(forged))
			p.field("name", forged)
			x := table{columns: []string{"A", "B"}}
			x.add(forged, p.style.bad("b"))
			x.add(strings.Repeat("a", len([]rune(shown))), "c")
			p.table(x)
			lines := strings.Split(p.String(), "\n")
			if len(lines) != 8 || lines[1] != "value "+shown || !strings.HasSuffix(lines[3], " "+shown) {
				t.Fatalf("%q", lines)
			}
			if !strings.Contains(lines[2], shown) || lines[2] == shown && on || strings.Count(lines[2], "\x1b")%2 != 0 {
				t.Errorf("%q", lines[2])
			}
			if _, b, _ := strings.Cut(lines[5], shown+"   "); !strings.Contains(b, "b") || b == "b" && on {
				t.Errorf("the cell beside it is %q, as %q", b, red("b"))
			}
			var said bytes.Buffer
			s := &session{stderr: &said, style: st}
			s.say("%s %s", st.bad("error:"), forged)
			if got := said.String(); !strings.HasSuffix(got, ": "+shown+"\n") && !strings.HasSuffix(got, " "+shown+"\n") || strings.Count(got, "\n") != 1 {
				t.Errorf("it says %q", got)
			}
		})
	}
}

// TestShowRules: whoever opens an environment sees every rule that is set.
func TestShowRules(t *testing.T) {
	watch := 5 * time.Minute
	e := towpath.EnvironmentSpec{
		Branch: "env/prod", From: "staging", Promotion: towpath.PromotionManual, Place: "eu-1", Account: "shop-prod", Region: "eu-west-1",
		Gates:     towpath.GateRules{Soak: time.Hour, Scan: &towpath.ScanRule{Severity: "high", MaxAge: 36 * time.Hour}},
		Retention: towpath.RetentionRule{Keep: 7, Age: 48 * time.Hour}, Rollout: towpath.StrategyAllAtOnce, Concurrent: 3, Watch: &watch,
	}
	p := &page{}
	showRules(p, e)
	for _, want := range []string{"branch: env/prod", "from: staging", "promotion: manual", "place: eu-1", "account: shop-prod", "region: eu-west-1",
		`gates: scan {"severity":"high","maxAge":"36h0m0s"}, soak 1h0m0s`, "retention: the last 7 releases, and what ran within 48h0m0s",
		"rollout: all-at-once", "concurrent: 3 components", "watch: 5m0s"} {
		name, value, _ := strings.Cut(want, ": ")
		if !strings.Contains(p.String(), name+":"+strings.Repeat(" ", 13-len(name))+value+"\n") {
			t.Errorf("%q is not in\n%s", want, p)
		}
	}
	shown := map[string]bool{"Name": true, "Components": true} // asked for by name; of components, not of rules
	for _, f := range reflect.VisibleFields(reflect.TypeFor[towpath.EnvironmentSpec]()) {
		if !shown[f.Name] && !strings.Contains(p.String(), strings.ToLower(f.Name)+":") {
			t.Errorf("%s is not shown", f.Name)
		}
	}
}
