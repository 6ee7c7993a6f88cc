package gate

import (
	"strings"
	"testing"
	"time"

	"github.com/towpath/towpath/internal/towpath"
)

// noon is a Wednesday.
var noon = time.Date(2026, 11, 18, 12, 0, 0, 0, time.UTC)

// passing is an input that every gate allows; each test breaks one thing in it.
func passing() Input {
	rules := towpath.EnvironmentSpec{
		Name: "prod", Branch: "main", From: "staging", Promotion: towpath.PromotionManual, Place: "local",
		Gates: towpath.GateRules{
			Soak: 10 * time.Minute,
			Age:  720 * time.Hour,

			Replicated: []towpath.ReplicationName{"eu"},
			Mirrored:   true,
			Approvals:  &towpath.ApprovalRule{Count: 1},
			Windows:    []towpath.Window{{Kind: towpath.WindowAllow, Days: []string{"mon", "tue", "wed", "thu"}, Start: "09:00", End: "16:00", Timezone: "Europe/Vienna"}},
			Checks:     []string{"ci/load-test"},
			Signed:     &towpath.SignedRule{Count: 1},
			Provenance: &towpath.ProvenanceRule{
				Builders: []string{"https://ci.example.com"}, Repositories: []string{"https://git.example.com/shop"}, Branches: []string{"main", "release/*"}, Reviewed: true,
			},
			SBOM: &towpath.SBOMRule{Complete: true},
			Scan: &towpath.ScanRule{
				Severity: towpath.SeverityHigh, MaxAge: 24 * time.Hour,
				Exceptions: []towpath.ScanException{{ID: "CVE-1", Reason: "not reachable", Until: "2026-11-18"}},
			},
		},
	}
	in := Input{
		Now: noon,
		Promotion: towpath.Promotion{
			ID: "prm_1", Project: "shop", Environment: "prod", Mode: towpath.PromotionManual, RequestedBy: "paul",
		},
		Environment: towpath.Environment{Project: "shop", Name: "prod", Rules: rules, Release: "sha256:old", Commit: "c0"},
		Candidate:   towpath.Candidate{ID: "cnd_1", Project: "shop", Release: "sha256:new", Version: "1.4.0", Commit: "c2", Published: noon.Add(-2 * time.Hour)},
		Released:    noon.Add(-2 * time.Hour),
		Upstream:    []towpath.Run{stay(noon.Add(-time.Hour), time.Time{}, "")},
		Authors: []Author{
			{Commit: "c1", Email: "ana@example.com", Subject: "one", Account: "ana"},
			{Commit: "c2", Email: "ben@example.com", Subject: "two", Account: "ben"},
		},
		Plan: &towpath.Plan{Hash: "sha256:plan", Base: "sha256:old", Components: []towpath.ComponentPlan{
			{Component: "api", Action: towpath.ActionReplace}, {Component: "db", Action: towpath.ActionNone},
		}},
		Checks:   []towpath.Check{{Project: "shop", Candidate: "cnd_1", Key: "ci/load-test", State: towpath.CheckSuccess, At: noon.Add(-time.Hour)}},
		Requires: []towpath.Requirement{{Project: "billing", Component: "api", Versions: ">=1.2 <2"}},
		Running:  []Running{{Project: "billing", Component: "api", Version: "1.3.0"}},
	}
	in.Images = towpath.ReleaseImages{Project: "shop", Release: "sha256:new", Candidates: []towpath.CandidateID{in.Candidate.ID}, Images: []towpath.PinnedImage{
		{Name: "redis:7", Source: "docker.io/library/redis", Digest: "sha256:0123456789abcdef", Repository: "shop/mirror/docker.io/library/redis", Mirrored: noon.Add(-time.Hour)},
	}}
	in.Mirror.Sources = []towpath.MirrorSource{{From: "docker.io"}}
	in.Replications = []towpath.Replication{{Project: "shop", Rule: "eu", Release: "sha256:new", Done: noon.Add(-time.Hour)}}
	in.Approvals = []towpath.Approval{yes(in, "cleo")}
	in.Reviews = []towpath.Approval{yes(in, "dina")}
	in.Attestations = []towpath.Attestation{
		statement(towpath.EvidenceSignature, "builder-2026"), statement(towpath.EvidenceProvenance, "builder-2026"), statement(towpath.EvidenceSBOM, "builder-2026"),
		statement(towpath.EvidenceScan, "scanner"),
	}
	for _, a := range in.Attestations {
		in.Replications[0].Attached = append(in.Replications[0].Attached, a.Artifact)
	}
	in.Replications[0].Candidates = []towpath.CandidateID{in.Candidate.ID}
	in.Attestations[1].Provenance = &towpath.ProvenanceFacts{
		Builder: "https://ci.example.com", Repository: "https://git.example.com/shop", Ref: "refs/heads/main", Commit: "c2",
	}
	in.Attestations[3].Scan = &towpath.ScanFacts{Tool: "Trivy", Total: 2, Findings: []towpath.ScanFinding{
		{ID: "CVE-1", Severity: towpath.SeverityHigh, In: "left-pad 1.3.0"}, {ID: "CVE-2", Severity: towpath.SeverityMedium},
	}}
	in.Attestations[2].SBOM = &towpath.SBOMFacts{Format: "CycloneDX 1.6", Components: 12}
	return in
}

// statement is a verified one.
func statement(t towpath.EvidenceType, key towpath.KeyName) towpath.Attestation {
	return towpath.Attestation{
		Type: t, Artifact: towpath.Digest("sha256:" + string(t) + string(key)), Bundle: "sha256:bundle",
		Recorded: noon.Add(-time.Hour), First: noon.Add(-time.Hour), KeyID: "id of " + string(key), Key: key,
	}
}

func stay(began, ended time.Time, doubt string) towpath.Run {
	return towpath.Run{Project: "shop", Environment: "staging", Candidate: "cnd_1", Began: began, Ended: ended, Verified: doubt == "", Doubt: doubt}
}

func yes(in Input, who towpath.AccountName) towpath.Approval {
	return towpath.Approval{
		ID: towpath.ApprovalID("apr_" + who), Promotion: in.Promotion.ID, By: who, Roles: []towpath.Role{towpath.RoleApprover}, Approve: true,
		Candidate: in.Candidate.ID, PlanHash: in.Plan.Hash, PolicyVersion: PolicyVersion(in.Environment.Rules), At: in.Now.Add(-time.Minute),
	}
}

// test is one row of a gate's table.
type test struct {
	name    string
	change  func(*Input)
	outcome towpath.Outcome
	says    string // in the reasons
	hints   string // in the hint
	until   time.Time
}

func run(t *testing.T, gate towpath.GateName, tests []test) {
	t.Helper()
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			in := passing()
			if tt.change != nil {
				tt.change(&in)
			}
			got := verdict(t, in, gate)
			if got.Outcome != tt.outcome {
				t.Errorf("the outcome is %s, want %s: %s", got.Outcome, tt.outcome, got.Reasons)
			}
			if said := strings.Join(got.Reasons, " "); !strings.Contains(said, tt.says) {
				t.Errorf("the reasons lack %q: %s", tt.says, said)
			}
			if !strings.Contains(got.Hint, tt.hints) {
				t.Errorf("the hint lacks %q: %s", tt.hints, got.Hint)
			}
			if !got.Until.Equal(tt.until) {
				t.Errorf("it opens at %s, want %s", got.Until, tt.until)
			}
			if got.Outcome != towpath.Allow && got.Hint == "" {
				t.Error("it does not say what to do next")
			}
			if len(got.Inputs) == 0 || !got.At.Equal(in.Now) {
				t.Errorf("the verdict lacks its inputs or its time: %+v", got)
			}
			for _, r := range got.Reasons {
				if !strings.HasSuffix(r, ".") || strings.Contains(r, "%!") {
					t.Errorf("%q is no sentence", r)
				}
			}
		})
	}
}

// failer is what [testing.T] and rapid's T have in common.
type failer interface {
	Helper()
	Fatalf(format string, args ...any)
}

func verdict(t failer, in Input, gate towpath.GateName) towpath.Verdict {
	t.Helper()
	for _, v := range Judge(in) {
		if v.Gate == gate {
			return v
		}
	}
	t.Fatalf("the gate %s has no verdict", gate)
	return towpath.Verdict{}
}
