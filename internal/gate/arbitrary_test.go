package gate

import (
	"time"

	"pgregory.net/rapid"

	"github.com/towpath/towpath/internal/towpath"
)

const (
	minute = time.Minute
	day    = 24 * time.Hour
)

// arbitrary is the passing input with evidence drawn from few values, so that
// ties and near misses are common.
func arbitrary(t *rapid.T) Input {
	in := passing()
	pick := func(name string, values ...string) string { return rapid.SampledFrom(values).Draw(t, name) }
	moment := func() time.Time {
		return noon.Add(time.Duration(rapid.IntRange(-4, 2).Draw(t, "moment")) * 5 * time.Minute)
	}
	many := func(name string, most int, add func()) {
		for range rapid.IntRange(0, most).Draw(t, name) {
			add()
		}
	}
	in.Promotion.Mode = towpath.PromotionMode(pick("mode", "manual", "automatic"))
	in.Environment.Rules.From = towpath.EnvironmentName(pick("from", "staging", "", "dev"))
	in.Environment.Rules.Gates.Approvals.Count = rapid.IntRange(0, 2).Draw(t, "count")
	if rapid.Bool().Draw(t, "no rule") {
		in.Environment.Rules.Gates.Approvals = nil
	}
	if rapid.Bool().Draw(t, "held") {
		in.Environment.Hold = &towpath.Hold{Reason: "slow", By: "olga", At: noon}
	}
	if rapid.Bool().Draw(t, "no plan") {
		in.Plan = nil
	}
	many("runs", 4, func() {
		r := stay(moment(), time.Time{}, pick("doubt", "", "", "leaks"))
		if rapid.Bool().Draw(t, "ended") {
			r.Ended = r.Began.Add(time.Duration(rapid.IntRange(0, 20).Draw(t, "minutes")) * time.Minute)
		}
		r.Verified = rapid.Bool().Draw(t, "verified")
		r.Deployment = towpath.DeploymentID(pick("deployment", "dep_1", "dep_2"))
		in.Upstream = append(in.Upstream, r)
	})
	many("freezes", 3, func() {
		f := towpath.Freeze{ID: towpath.FreezeID(pick("freeze", "frz_1", "frz_2")), Project: towpath.ProjectName(pick("project", "", "shop", "billing")), Reason: pick("reason", "a", "b"), By: "olga", From: moment()}
		if rapid.Bool().Draw(t, "ends") {
			f.Until = moment()
		}
		in.Freezes = append(in.Freezes, f)
	})
	many("approvals", 4, func() {
		a := yes(passing(), towpath.AccountName(pick("by", "ana", "cleo", "dina", "paul")))
		a.ID, a.At = towpath.ApprovalID(pick("approval", "apr_1", "apr_2")), moment()
		a.Approve = rapid.Bool().Draw(t, "approve")
		a.Roles = []towpath.Role{towpath.Role(pick("role", "approver", "viewer")), towpath.Role(pick("role", "approver", "viewer"))}
		a.PlanHash = towpath.Digest(pick("plan", "sha256:plan", "sha256:old"))
		in.Approvals = append(in.Approvals, a)
	})
	many("authors", 4, func() {
		account := pick("account", "", "ana", "ben")
		in.Authors = append(in.Authors, Author{Commit: towpath.CommitID(pick("commit", "c1", "c2")), Email: pick("email", "x@example.com", "y@example.com"), Subject: pick("subject", "one", "two"), Account: towpath.AccountName(account)})
	})
	many("checks", 3, func() {
		in.Checks = append(in.Checks, towpath.Check{Project: "shop", Candidate: "cnd_1", Key: "ci/load-test", At: moment(), By: towpath.AccountName(pick("poster", "ci", "bot")),
			State: towpath.CheckState(pick("state", "success", "failure", "pending")), Environment: towpath.EnvironmentName(pick("environment", "", "prod", "dev"))})
	})
	many("requires", 2, func() {
		in.Requires = append(in.Requires, towpath.Requirement{Project: towpath.ProjectName(pick("required", "billing", "mail")), Versions: pick("versions", ">=1", "<1", "*")})
	})
	many("running", 3, func() {
		in.Running = append(in.Running, Running{Project: towpath.ProjectName(pick("runs", "billing", "mail")), Component: towpath.ComponentName(pick("component", "api", "db")), Version: pick("version", "1.0.0", "0.9.0-dev.1")})
	})
	many("lost", 2, func() {
		in.Lost = append(in.Lost, towpath.LostPart{What: pick("part", "the manifest", "the layer of api"), Digest: towpath.Digest(pick("lost part", "sha256:1", "sha256:2"))})
		in.Rules = append(in.Rules, towpath.ReplicationName(pick("rule", "eu", "us")))
	})
	if rapid.Bool().Draw(t, "no provenance rule") {
		in.Environment.Rules.Gates.Provenance = nil
	}
	in.Environment.Rules.Gates.Signed.Count = rapid.IntRange(0, 2).Draw(t, "signatures")
	in.Attestations, in.Reviews = nil, nil
	many("attestations", 5, func() {
		a := statement(towpath.EvidenceType(pick("type", "signature", "provenance", "sbom", "promotion")), towpath.KeyName(pick("key", "a", "b", "")))
		a.KeyID, a.Recorded, a.Refused = pick("key ID", "1", "2"), moment(), pick("refused", "", "", "it is forged")
		if rapid.Bool().Draw(t, "readable") {
			a.Provenance = &towpath.ProvenanceFacts{Builder: pick("builder", "https://ci.example.com", "laptop"), Repository: "https://git.example.com/shop", Ref: pick("ref", "main", "refs/tags/main", "feature"), Commit: towpath.CommitID(pick("built", "c1", "c2"))}
			a.SBOM = &towpath.SBOMFacts{Components: rapid.IntRange(0, 3).Draw(t, "components"), Incomplete: rapid.Bool().Draw(t, "incomplete")}
		}
		in.Attestations = append(in.Attestations, a)
	})
	many("reviews", 2, func() {
		a := yes(passing(), towpath.AccountName(pick("reviewer", "ana", "dina", "towpath")))
		a.Approve, a.Candidate = rapid.Bool().Draw(t, "agrees"), towpath.CandidateID(pick("reviewed", "cnd_1", "cnd_0"))
		in.Reviews = append(in.Reviews, a)
	})
	many("foreign", 12, func() {
		in.Foreign = append(in.Foreign, towpath.CommitAuthor{Commit: towpath.CommitID(pick("foreign", "f1", "f2", "f3")), Email: pick("by", "x@example.com", "y@example.com"), Subject: pick("subject", "one", "two")})
	})
	return in
}

func arbitraryWindow() *rapid.Generator[towpath.Window] {
	return rapid.Custom(func(t *rapid.T) towpath.Window {
		pick := func(name string, values ...string) string { return rapid.SampledFrom(values).Draw(t, name) }
		return towpath.Window{
			Kind: towpath.WindowKind(pick("kind", "allow", "deny")), Timezone: pick("zone", "", "Europe/Vienna", "America/New_York", "Asia/Kolkata"),
			Start: pick("start", "", "02:00", "09:30"), End: pick("end", "", "01:00", "17:00"),
			Days: rapid.SampledFrom([][]string{nil, {"mon"}, {"wed", "sat"}}).Draw(t, "days"),
		}
	})
}

func shuffle[T any](t *rapid.T, s []T) []T {
	if len(s) == 0 {
		return s
	}
	return rapid.Permutation(s).Draw(t, "order")
}
