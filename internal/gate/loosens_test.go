package gate

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/towpath/towpath/internal/towpath"
)

func TestLoosens(t *testing.T) {
	office := passing().Environment.Rules.Gates.Windows[0]
	deny := towpath.Window{Kind: towpath.WindowDeny, Days: []string{"fri"}, Reason: "weekend is near"}
	for _, tt := range []struct {
		name       string
		old        func(*towpath.EnvironmentSpec)
		change     func(*towpath.EnvironmentSpec)
		want, back []string // loosened by the change, and by taking it back
	}{
		{"nothing is loosened by equal rules", nil, func(*towpath.EnvironmentSpec) {}, nil, nil},
		{"another from", nil, func(e *towpath.EnvironmentSpec) { e.From = "dev" },
			[]string{"Candidates come from dev instead of staging."}, []string{"Candidates come from staging instead of dev."}},
		{"no from", nil, func(e *towpath.EnvironmentSpec) { e.From = "" }, []string{"Candidates need not come from staging any more."}, nil},
		{"automatic promotions", nil, func(e *towpath.EnvironmentSpec) { e.Promotion = "automatic" }, []string{"Promotions become automatic."}, nil},
		{"no branch", nil, func(e *towpath.EnvironmentSpec) { e.Branch = "" }, []string{"The branch main is not watched for foreign commits any more."}, nil},
		{"no canaries", nil, func(e *towpath.EnvironmentSpec) { e.Rollout = towpath.StrategyBlueGreen }, []string{"Traffic moves at once, without canaries."}, nil},
		{"less soak", nil, func(e *towpath.EnvironmentSpec) { e.Gates.Soak = time.Minute }, []string{"The soak time falls from 10m to 1m."}, nil},
		{"a shorter watch", nil, func(e *towpath.EnvironmentSpec) { e.Watch = new(time.Duration) }, []string{"Alerts roll back what was deployed for 0s instead of 15m."}, nil},
		{"no copy", nil, func(e *towpath.EnvironmentSpec) { e.Gates.Replicated = nil }, []string{"A copy by eu is not asked for any more."}, nil},
		{"no mirror", nil, func(e *towpath.EnvironmentSpec) { e.Gates.Mirrored = false }, []string{"What comes from other registries need not be mirrored any more."}, nil},
		{"older releases", nil, func(e *towpath.EnvironmentSpec) { e.Gates.Age = 1000 * time.Hour }, []string{"The age of releases rises from 720h to 1000h."}, nil},
		{"releases of any age", nil, func(e *towpath.EnvironmentSpec) { e.Gates.Age = 0 }, []string{"Releases of any age are taken."}, nil},
		{"no approvals", nil, func(e *towpath.EnvironmentSpec) { e.Gates.Approvals = nil }, []string{"Approvals are not asked for any more."}, nil},
		{"fewer approvals", func(e *towpath.EnvironmentSpec) { e.Gates.Approvals = &towpath.ApprovalRule{Count: 3} },
			func(e *towpath.EnvironmentSpec) { e.Gates.Approvals = &towpath.ApprovalRule{Count: 2} }, []string{"The number of approvals falls from 3 to 2."}, nil},
		{"solo", nil, func(e *towpath.EnvironmentSpec) { e.Gates.Approvals = &towpath.ApprovalRule{Count: 1, Solo: true} }, []string{"Authors and promoters may approve (solo)."}, nil},
		{"another role", nil, func(e *towpath.EnvironmentSpec) {
			e.Gates.Approvals = &towpath.ApprovalRule{Count: 1, Roles: []towpath.Role{"approver", "admin"}}
		}, []string{"Approvals by the role admin count too."}, nil},
		{"a check less", nil, func(e *towpath.EnvironmentSpec) { e.Gates.Checks = nil }, []string{"The check ci/load-test is not asked for any more."}, nil},
		{"no evidence", nil, func(e *towpath.EnvironmentSpec) {
			e.Gates.Signed, e.Gates.Provenance, e.Gates.SBOM, e.Gates.Scan = nil, nil, nil, nil
		},
			[]string{"Signatures are not asked for any more.", "Provenance is not asked for any more.", "A bill of materials is not asked for any more.", "Scans are not asked for any more."}, nil},
		{"fewer signatures", func(e *towpath.EnvironmentSpec) { e.Gates.Signed = &towpath.SignedRule{Count: 2} },
			func(e *towpath.EnvironmentSpec) { e.Gates.Signed = &towpath.SignedRule{Count: 1} }, []string{"The number of signatures falls from 2 to 1."}, nil},
		{"any key", func(e *towpath.EnvironmentSpec) { e.Gates.Signed = &towpath.SignedRule{Keys: []towpath.KeyName{"a"}} },
			func(e *towpath.EnvironmentSpec) { e.Gates.Signed = &towpath.SignedRule{} }, []string{"Signatures by anything else than a count too."}, nil},
		{"another builder, and nobody reviews", nil, func(e *towpath.EnvironmentSpec) {
			e.Gates.Provenance = &towpath.ProvenanceRule{
				Builders: []string{"https://ci.example.com", "laptop"}, Repositories: []string{"https://git.example.com/shop"}, Branches: []string{"main", "release/*"},
			}
		}, []string{"Builds by laptop count too.", "Nobody but the authors needs to have reviewed it any more."}, nil},
		{"any branch", nil, func(e *towpath.EnvironmentSpec) {
			e.Gates.Provenance = &towpath.ProvenanceRule{
				Builders: []string{"https://ci.example.com"}, Repositories: []string{"https://git.example.com/shop"}, Reviewed: true,
			}
		}, []string{"Builds at anything else than main, release/* count too."}, nil},
		{"an incomplete bill", nil, func(e *towpath.EnvironmentSpec) { e.Gates.SBOM = &towpath.SBOMRule{} }, []string{"A bill of materials may be incomplete."}, nil},
		{"findings that count less", nil, func(e *towpath.EnvironmentSpec) {
			e.Gates.Scan = &towpath.ScanRule{Severity: towpath.SeverityCritical, Exceptions: []towpath.ScanException{{ID: "CVE-1", Reason: "still not", Until: "2026-12-01"}, {ID: "CVE-9", Reason: "a test", Until: "2026-12-01"}}}
		}, []string{
			"Findings that are not critical or worse don't count any more.", "Scans may be older than 24h.",
			"CVE-1 is excepted until 2026-12-01: “still not”.", "CVE-9 is excepted until 2026-12-01: “a test”.",
		}, nil},
		{"a tool less", func(e *towpath.EnvironmentSpec) { e.Gates.Scan = &towpath.ScanRule{Tools: []string{"Grype", "Trivy"}} },
			func(e *towpath.EnvironmentSpec) { e.Gates.Scan = &towpath.ScanRule{Tools: []string{"Trivy"}} }, []string{"A scan by Grype is not asked for any more."}, nil},
		{"no allow windows", nil, func(e *towpath.EnvironmentSpec) { e.Gates.Windows = nil }, []string{"Promotions are allowed at all times instead of in windows."}, nil},
		{"an allow window more", nil, func(e *towpath.EnvironmentSpec) {
			e.Gates.Windows = []towpath.Window{office, {Kind: towpath.WindowAllow, Days: []string{"sat"}}}
		}, []string{"Promotions are allowed on sat (UTC) too."}, nil},
		{"a deny window less", func(e *towpath.EnvironmentSpec) { e.Gates.Windows = []towpath.Window{deny} },
			func(e *towpath.EnvironmentSpec) { e.Gates.Windows = nil }, []string{"The deny window on fri (UTC) is gone or changed."}, nil},
		{"another reason is nothing", func(e *towpath.EnvironmentSpec) { e.Gates.Windows = []towpath.Window{deny} },
			func(e *towpath.EnvironmentSpec) {
				e.Gates.Windows = []towpath.Window{{Kind: towpath.WindowDeny, Days: []string{"fri"}, Reason: "rest"}}
			}, nil, nil},
	} {
		t.Run(tt.name, func(t *testing.T) {
			old := passing().Environment.Rules
			if tt.old != nil {
				tt.old(&old)
			}
			proposed := old
			tt.change(&proposed)
			if diff := cmp.Diff(tt.want, Loosens(old, proposed)); diff != "" {
				t.Errorf("loosened (-want +got):\n%s", diff)
			}
			if diff := cmp.Diff(tt.back, Loosens(proposed, old)); diff != "" {
				t.Errorf("loosened by taking it back (-want +got):\n%s", diff)
			}
		})
	}
}
