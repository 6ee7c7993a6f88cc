package towpath_test

import (
	"fmt"
	"math"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/towpath/towpath/internal/towpath"
)

func rules() towpath.EnvironmentSpec {
	return towpath.EnvironmentSpec{Name: "prod", From: "staging", Branch: "env/prod", Promotion: towpath.PromotionManual, Place: "eu-1",
		Account: "shop-prod", Region: "eu-west-1", Retention: towpath.RetentionRule{Keep: 10, Age: 720 * time.Hour}}
}

// TestEnvironmentSpec_Faults: whatever is wrong with the rules of an environment is
// found at its place, and what is right is let be.
func TestEnvironmentSpec_Faults(t *testing.T) {
	long := strings.Repeat("a", 501)
	week, over := 7*24*time.Hour, 8*24*time.Hour
	many := func(n int) []string {
		var out []string
		for i := range n {
			out = append(out, fmt.Sprintf("c%d", i))
		}
		return out
	}
	day := func(w towpath.Window) []towpath.Window {
		w.Kind = towpath.WindowDeny
		return []towpath.Window{w}
	}
	for _, tt := range []struct {
		name   string
		change func(e *towpath.EnvironmentSpec)
		want   []string // paths
	}{
		{"nothing", func(*towpath.EnvironmentSpec) {}, nil},
		{"what is left to defaults", func(e *towpath.EnvironmentSpec) { e.Retention, e.From, e.Branch = towpath.RetentionRule{}, "", "" }, nil},
		{"an account with invented lines", func(e *towpath.EnvironmentSpec) { e.Account = "shop-prod\nregion: eu-west-1\ngates: none" }, []string{"account"}},
		{"a region that conceals", func(e *towpath.EnvironmentSpec) { e.Region = "eu\x1b[8m" }, []string{"region"}},
		{"an account that ends a line", func(e *towpath.EnvironmentSpec) { e.Account = "shop\n" }, []string{"account"}},
		{"a name in capitals", func(e *towpath.EnvironmentSpec) { e.Name = "Prod" }, []string{""}},
		{"no place", func(e *towpath.EnvironmentSpec) { e.Place = "" }, []string{"place"}},
		{"a branch with a line's end", func(e *towpath.EnvironmentSpec) { e.Branch = "main\n" }, []string{"branch"}},
		{"a branch with a character that controls", func(e *towpath.EnvironmentSpec) { e.Branch = "main\u009b8m" }, []string{"branch"}},
		{"a branch that is a ref", func(e *towpath.EnvironmentSpec) { e.Branch = "refs/heads/main" }, []string{"branch"}},
		{"a long branch", func(e *towpath.EnvironmentSpec) { e.Branch = long }, []string{"branch"}},
		{"an upstream that is no name", func(e *towpath.EnvironmentSpec) { e.From = "a b" }, []string{"from"}},
		{"a mode that is none", func(e *towpath.EnvironmentSpec) { e.Promotion = "" }, []string{"promotion"}},
		{"a rollout that environments have not", func(e *towpath.EnvironmentSpec) { e.Rollout = towpath.StrategyCanary }, []string{"rollout"}},
		{"a rollout that they have", func(e *towpath.EnvironmentSpec) { e.Rollout = towpath.StrategyAllAtOnce }, nil},
		{"as many at a time as there may be", func(e *towpath.EnvironmentSpec) { e.Concurrent = 1000 }, nil},
		{"more at a time", func(e *towpath.EnvironmentSpec) { e.Concurrent = 1001 }, []string{"concurrent"}},
		{"fewer than none", func(e *towpath.EnvironmentSpec) { e.Concurrent = -1 }, []string{"concurrent"}},
		{"a week's watch", func(e *towpath.EnvironmentSpec) { e.Watch = &week }, nil},
		{"a longer watch", func(e *towpath.EnvironmentSpec) { e.Watch = &over }, []string{"watch"}},
		{"retention for ever", func(e *towpath.EnvironmentSpec) { e.Retention.Age = math.MaxInt64 }, []string{"retention.age"}},
		{"retention from before", func(e *towpath.EnvironmentSpec) { e.Retention.Age = -1 }, []string{"retention.age"}},
		{"retention of all", func(e *towpath.EnvironmentSpec) { e.Retention.Keep = 10_001 }, []string{"retention.keep"}},
		{"retention of less than none", func(e *towpath.EnvironmentSpec) { e.Retention.Keep = -1 }, []string{"retention.keep"}},
		{"a soak time of years", func(e *towpath.EnvironmentSpec) { e.Gates.Soak = 91 * 24 * time.Hour }, []string{"gates.soak"}},
		{"a soak time nowhere", func(e *towpath.EnvironmentSpec) { e.From, e.Gates.Soak = "", time.Hour }, []string{"gates.soak"}},
		{"an age below none", func(e *towpath.EnvironmentSpec) { e.Gates.Age = -1 }, []string{"gates.age"}},
		{"approvals of nobody", func(e *towpath.EnvironmentSpec) { e.Gates.Approvals = &towpath.ApprovalRule{} }, []string{"gates.approvals.count"}},
		{"approvals of a crowd", func(e *towpath.EnvironmentSpec) { e.Gates.Approvals = &towpath.ApprovalRule{Count: 21} }, []string{"gates.approvals.count"}},
		{"approvals by who can't", func(e *towpath.EnvironmentSpec) {
			e.Gates.Approvals = &towpath.ApprovalRule{Count: 1, Roles: []towpath.Role{"approver", "viewer", "boss", "approver"}}
		}, []string{"gates.approvals.roles[1]", "gates.approvals.roles[2]", "gates.approvals.roles[3]"}},
		{"a check that is none", func(e *towpath.EnvironmentSpec) { e.Gates.Checks = []string{"ci", "a\nb"} }, []string{"gates.checks[1]"}},
		{"as many checks as there may be", func(e *towpath.EnvironmentSpec) { e.Gates.Checks = many(500) }, nil},
		{"more checks", func(e *towpath.EnvironmentSpec) { e.Gates.Checks = many(501) }, []string{"gates.checks"}},
		{"a copy in capitals", func(e *towpath.EnvironmentSpec) { e.Gates.Replicated = []towpath.ReplicationName{"EU"} }, []string{"gates.replicated[0]"}},
		{"more signatures than keys", func(e *towpath.EnvironmentSpec) {
			e.Gates.Signed = &towpath.SignedRule{Count: 2, Keys: []towpath.KeyName{"a"}}
		}, []string{"gates.signed.count"}},
		{"a provenance of nothing that is named", func(e *towpath.EnvironmentSpec) {
			e.Gates.Provenance = &towpath.ProvenanceRule{Keys: []towpath.KeyName{"A"}, Builders: []string{"a b"}, Repositories: []string{long}, Branches: []string{"a["}}
		}, []string{"gates.provenance.keys[0]", "gates.provenance.builders[0]", "gates.provenance.repositories[0]", "gates.provenance.branches[0]"}},
		{"a bill by nobody", func(e *towpath.EnvironmentSpec) { e.Gates.SBOM = &towpath.SBOMRule{Keys: []towpath.KeyName{""}} }, []string{"gates.sbom.keys[0]"}},
		{"a scan of no sort", func(e *towpath.EnvironmentSpec) {
			e.Gates.Scan = &towpath.ScanRule{Keys: []towpath.KeyName{"B"}, Severity: "awful", MaxAge: time.Second, Tools: []string{"Trivy\x1b[8m"},
				Exceptions: []towpath.ScanException{{ID: "", Reason: "a\nb", Until: "soon"}}}
		}, []string{"gates.scan.keys[0]", "gates.scan.severity", "gates.scan.maxAge", "gates.scan.tools[0]",
			"gates.scan.exceptions[0].id", "gates.scan.exceptions[0].reason", "gates.scan.exceptions[0].until"}},
		{"more exceptions than are read", func(e *towpath.EnvironmentSpec) {
			e.Gates.Scan = &towpath.ScanRule{Severity: "high", Exceptions: make([]towpath.ScanException, 501)}
		}, []string{"gates.scan.exceptions"}},
		{"a window of no sort", func(e *towpath.EnvironmentSpec) {
			e.Gates.Windows = []towpath.Window{{Kind: "open", Days: []string{"monday"}, Start: "9:00", End: "24:01", From: "soon", To: "late", Timezone: "Europe/Wien", Reason: "a\nb"}}
		}, []string{"gates.windows[0].timezone", "gates.windows[0].kind", "gates.windows[0].days[0]", "gates.windows[0].start", "gates.windows[0].end",
			"gates.windows[0].from", "gates.windows[0].to", "gates.windows[0].reason"}},
		{"a time zone of this machine's files", func(e *towpath.EnvironmentSpec) { e.Gates.Windows = day(towpath.Window{Timezone: "../etc/localtime"}) }, []string{"gates.windows[0].timezone"}},
		{"a window for ever", func(e *towpath.EnvironmentSpec) { e.Gates.Windows = day(towpath.Window{}) }, []string{"gates.windows[0]"}},
		{"a window that ends before it begins", func(e *towpath.EnvironmentSpec) {
			e.Gates.Windows = day(towpath.Window{From: "2027-01-02", To: "2027-01-01"})
		}, []string{"gates.windows[0]"}},
		{"a window that never opens", func(e *towpath.EnvironmentSpec) {
			e.Gates.Windows = []towpath.Window{
				{Kind: "allow", Days: []string{"mon"}, Start: "09:00", End: "17:00"}, {Kind: "allow", Days: []string{"mon", "tue"}},
				{Kind: "deny", Days: []string{"mon"}, Start: "08:00", End: "12:00"}, {Kind: "deny", Days: []string{"mon"}, Start: "12:00", End: "18:00", Timezone: "UTC"},
			}
		}, []string{"gates.windows[0]"}},
		{"too many windows", func(e *towpath.EnvironmentSpec) { e.Gates.Windows = make([]towpath.Window, 51) }, []string{"gates.windows"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			e := rules()
			tt.change(&e)
			var got []string
			for _, f := range e.Faults() {
				got = append(got, f.Path)
				if !towpath.OneLine(f.Message) || len(f.Message) > 400 {
					t.Errorf("the message %q carries what it speaks of", f.Message)
				}
			}
			if !slices.Equal(got, tt.want) {
				t.Errorf("it finds %q: %+v", got, e.Faults())
			}
		})
	}
}
