package promql

import (
	"testing"

	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/promql/parser"

	"github.com/towpath/towpath/internal/towpath"
)

// FuzzBind: whatever a query is, what is asked instead is one that every source
// reads, all of its selectors are bound, and nothing else is changed.
func FuzzBind(f *testing.F) {
	for _, q := range []string{
		`a`, `a{project="other"}`, `{__name__=~".+"}`, `{"a.b", "c.d"="e"}`, `sum by (le, project) (rate(a_bucket{r="x"}[5m]))`,
		`a offset -5m`, `a @ 1.5`, `max_over_time((a or b{component!="c"})[1h:] @ end() offset 1h)`, `sum(increase(a[12034ms])) / ignoring(x) group_left(y) b`,
		`absent(a) or vector(0)`, `topk(2, a) unless on() b`, `-a ^ 2 + (-1) ^ 0x1F`, `label_replace(a, "project", "$1", "x", "(.*)")`, `1 + time()`,
		`a{b="\"},c{"}`, `quantile_over_time(0.9, a[1m:10s])`, `count_values("project", a) > bool 1e3`,
		`a and on("a.b") c`, `histogram_quantile(0.9, a) atan2 b`, `a == Inf or a == NaN`,
	} {
		f.Add(q)
	}
	of := towpath.Target{Project: "shop", Environment: "dev", Component: "api"}
	f.Fuzz(func(t *testing.T, q string) {
		p := parser.NewParser(parser.Options{})
		was, err := p.ParseExpr(q)
		got, bindErr := bind(q, of)
		if (err == nil) != (bindErr == nil) {
			t.Fatalf("%q: %v, and bound %v", q, err, bindErr)
		}
		if err != nil {
			if towpath.KindOf(bindErr) != towpath.KindInvalid {
				t.Errorf("%q: %v", q, bindErr)
			}
			return
		}
		is, err := p.ParseExpr(got)
		if err != nil {
			t.Fatalf("%q became %q: %v", q, got, err)
		}
		parser.Inspect(is, func(n parser.Node, _ []parser.Node) error {
			s, ok := n.(*parser.VectorSelector)
			if !ok {
				return nil
			}
			for name, value := range map[string]string{"project": "shop", "environment": "dev", "component": "api"} {
				at := -1
				for i, m := range s.LabelMatchers {
					if m.Name == name && m.Type == labels.MatchEqual && m.Value == value {
						at = i
					}
				}
				if at < 0 {
					t.Fatalf("%q became %q: %s is not bound", q, got, s)
				}
				s.LabelMatchers = append(s.LabelMatchers[:at:at], s.LabelMatchers[at+1:]...)
			}
			return nil
		})
		if is.String() != was.String() {
			t.Errorf("%q became %q: more was changed", q, got)
		}
	})
}
