package cli_test

import (
	"encoding/json"
	"time"

	"github.com/towpath/towpath/internal/analysis"
	"github.com/towpath/towpath/internal/deploy"
	"github.com/towpath/towpath/internal/experiment"
	"github.com/towpath/towpath/internal/inventory"
	"github.com/towpath/towpath/internal/ledger"
	"github.com/towpath/towpath/internal/mirror"
	"github.com/towpath/towpath/internal/promote"
	"github.com/towpath/towpath/internal/registry"
	"github.com/towpath/towpath/internal/release"
	"github.com/towpath/towpath/internal/replication"
	"github.com/towpath/towpath/internal/towpath"
	"github.com/towpath/towpath/internal/towpathtest/apitest"
)

const commit = towpath.CommitID("4d3c2b1a4d3c2b1a4d3c2b1a4d3c2b1a4d3c2b1a")

func digest(s string) towpath.Digest { return towpath.DigestOf([]byte(s)) }

func ago(d time.Duration) time.Time { return noon().Add(-d) }

// storyWorld is a project in the middle of things: 1.4.0 waits at prod, which
// was rolled back from 1.3.0 and is held.
func storyWorld() *apitest.World {
	w := apitest.NewWorld()
	new, old := digest("1.4.0"), digest("1.3.0")
	plan := &towpath.Plan{Hash: digest("plan"), Base: old, At: ago(time.Hour), Components: []towpath.ComponentPlan{
		{Component: "api", Action: towpath.ActionNone, Hash: digest("a")},
		{Component: "old", Action: towpath.ActionRemove, From: "rev_0", Hash: digest("o")},
		{Component: "web", Action: towpath.ActionReplace, From: "rev_1", To: "rev_2", Hash: digest("w"), Changes: []towpath.Change{
			{Path: "env.GREETING", Before: "hello", After: "hullo"}, {Path: "env.TOKEN", After: "(sensitive)"}, {Path: "files"},
		}},
	}}
	candidate := towpath.Candidate{
		ID: "cnd_new", Project: "shop", Release: new, Commit: commit, Ref: "main", Version: "1.4.0", Subject: "Greet differently",
		PublishedBy: "ana", Published: ago(3 * time.Hour),
	}
	verdicts := []towpath.Verdict{
		{Gate: towpath.GateUpstream, Outcome: towpath.Allow, Reasons: []string{"it was verified in staging"}, At: noon()},
		{Gate: towpath.GateApprovals, Outcome: towpath.Wait, Reasons: []string{"0 of 1 approvals", "ana is an author"}, Hint: "somebody else approves", At: noon(), Inputs: json.RawMessage(`{"count":1}`)},
		{Gate: towpath.GateWindows, Outcome: towpath.Wait, Reasons: []string{"closed on Fridays"}, Until: noon().Add(60 * time.Hour), At: noon()},
	}
	w.Preview = promote.Preview{
		Project: "shop", Environment: "prod", Place: "local", Candidate: candidate, Outcome: towpath.Wait, Verdicts: verdicts, Plan: plan,
		PolicyVersion: digest("policy"), Loosens: []string{"one approval less"},
	}
	w.Promotions = []towpath.Promotion{{
		ID: "prm_1", Project: "shop", Environment: "prod", Candidate: "cnd_new", Release: new, Version: "1.4.0", Commit: commit,
		Mode: towpath.PromotionManual, RequestedBy: "ana", RequestedAt: ago(time.Hour), Phase: towpath.PromotionWaiting,
		Reason: "approvals: 0 of 1", Plan: plan, PolicyVersion: digest("policy"), Verdicts: verdicts,
		Approvals: []towpath.Approval{{By: "bea", Approve: true, At: ago(2 * time.Hour), PlanHash: digest("an older plan"), PolicyVersion: digest("policy"), Reason: "go"}},
		UpdatedAt: ago(time.Minute),
	}}
	w.Judged = judged()
	w.Experiment = deploy.ExperimentRecord{Experiment: deploy.Experiment{
		Deployment: "dep_9", Project: "shop", Environment: "dev", Component: "web", Candidate: "cnd_new", Phase: towpath.DeploymentSwitching,
		Waiting: "web has 20 % of the traffic for another 40m0s, as an experiment", By: "ana", CreatedAt: ago(20 * time.Minute),
		Experiment: towpath.Experiment{Share: 20, For: time.Hour, Reason: "is it quicker?"},
		Report: experiment.Report{
			Old: "1.3.0", New: "1.4.0", Level: 0.95, Sentence: "1.4.0 is better on speed.", Caveats: []string{"It is not over: it has been seen for 20m0s of 1h0m0s."},
			Findings: []experiment.Finding{{Metric: "speed", Outcome: experiment.NewBetter, Sentence: "1.4.0 is better: 7.6 % of 1.4.0 beside 26 % of 1.3.0."}},
		},
	}}
	w.Replications = []replication.Status{
		{ReplicationRule: towpath.ReplicationRule{Project: "shop", Name: "dr", To: "backup.example/shop", On: "prod", AddedBy: "ana", AddedAt: ago(time.Hour)}, Whole: 2, Behind: []towpath.Replication{}},
		{ReplicationRule: towpath.ReplicationRule{Project: "shop", Name: "eu", To: "registry.eu.example/shop", AddedBy: "ana", AddedAt: ago(time.Hour)}, Whole: 7,
			Behind: []towpath.Replication{{Project: "shop", Rule: "eu", Release: digest("1.4.0"), Version: "1.4.0", Since: ago(4 * time.Minute), Trying: ago(20 * time.Second), Attempts: 3, Error: "the registry can't be reached"}}, Lag: ago(4 * time.Minute)},
		{ReplicationRule: towpath.ReplicationRule{Project: "shop", Name: "ireland", To: "registry.ie.example/shop", Region: "eu-west-1", AddedBy: "ana", AddedAt: ago(time.Hour)}, Whole: 1, Behind: []towpath.Replication{}},
	}
	w.Mirror = mirror.Status{Project: "shop", Sources: []towpath.MirrorSource{{From: "docker.io"}}, Behind: 1, Lag: ago(3 * time.Minute), Images: []mirror.Image{
		{MirroredImage: towpath.MirroredImage{
			Project: "shop", Source: "docker.io/library/redis", Repository: "shop/mirror/docker.io/library/redis", Digest: digest("redis"), Since: ago(time.Hour), Done: ago(59 * time.Minute), Manifests: 4, Bytes: 41_234_567,
		}, Needed: true},
		{MirroredImage: towpath.MirroredImage{
			Project: "shop", Source: "ghcr.io/acme/base", Repository: "shop/mirror/ghcr.io/acme/base", Digest: digest("base"), Since: ago(3 * time.Minute), Attempts: 4,
			Error: "no source that the project is mirrored from covers it",
		}, Needed: true},
		{MirroredImage: towpath.MirroredImage{
			Project: "shop", Source: "docker.io/library/redis", Repository: "shop/mirror/docker.io/library/redis", Digest: digest("older redis"), Since: ago(90 * 24 * time.Hour), Done: ago(90 * 24 * time.Hour), Manifests: 1, Bytes: 40_111_222,
		}},
	}}
	w.TagRules = []string{"^v[0-9]"}
	w.Usage = registry.Usage{
		Projects: []registry.ProjectUsage{
			{Project: "blog", Repositories: 1, Manifests: 3, Tags: 2, Blobs: 9, Bytes: 70_000},
			{Project: "shop", Repositories: 2, Manifests: 40, Tags: 12, Blobs: 131, Bytes: 812_345_678},
		},
		Store: &registry.Size{Blobs: 150, Bytes: 900_000_000}, Reclaimable: &registry.Size{Blobs: 10, Bytes: 87_654_321},
	}
	w.Garbage = registry.Collected{
		Projects: []registry.GivenUp{{Project: "shop", Dangling: 3, Unused: 7}},
		Deleted:  registry.Size{Blobs: 10, Bytes: 87_654_321}, Left: 1, Before: ago(24 * time.Hour),
	}
	w.Scrubs = []registry.Scrubbed{
		{Checked: registry.Size{Blobs: 100, Bytes: 800_000_000}, Next: digest("half"), Findings: []registry.Finding{}},
		{Checked: registry.Size{Blobs: 49, Bytes: 99_000_000}, Findings: []registry.Finding{
			{Digest: digest("torn"), Harm: registry.Damaged, NeededBy: []string{"shop", "shop/api"}},
			{Digest: digest("lost"), Harm: registry.Missing, NeededBy: []string{"blog"}},
		}},
	}
	w.Verification = deploy.Verification{
		ID: "ver_1", Release: old, Version: "1.3.0", Done: true,
		Components: []deploy.ComponentVerification{
			{Component: "api", Phase: towpath.OperationFailed, Message: "the verification job checkout got 500"},
			{Component: "web", Phase: towpath.OperationSucceeded},
		},
	}
	w.Deployments = []towpath.Deployment{deployment(towpath.DeploymentSwitching), {
		ID: "dep_1", Project: "shop", Environment: "dev", Kind: towpath.DeploymentPromotion, Promotion: "prm_0", Release: new, Version: "1.4.0",
		Commit: commit, Previous: old, PreviousVersion: "1.3.0", Phase: towpath.DeploymentSucceeded, By: "towpath",
		CreatedAt: ago(3 * time.Hour), UpdatedAt: ago(3 * time.Hour), FinishedAt: ago(3*time.Hour - 12*time.Second),
	}}
	active := deployment(towpath.DeploymentSwitching)
	w.Rollback = deploy.RollbackResult{
		Environment: "prod", From: new, FromVersion: "1.4.0", To: old, ToVersion: "1.3.0", Components: plan.Components, Deployment: &active,
	}
	differences := []towpath.Difference{
		{Kind: towpath.DiffersGone, Sentence: "None of its 2 instances runs."},
		{Kind: towpath.DiffersFile, Subject: "bin/web", Sentence: "The file bin/web of the release was edited."},
	}
	w.Drift = inventory.DriftReport{Components: []inventory.ComponentDrift{
		{Environment: "dev", Component: "web", Place: "local", Revision: "rev_2", State: towpath.DriftNone, Policy: towpath.DriftReport, Differences: []towpath.Difference{}, Repairs: []towpath.RepairAttempt{},
			Observed: ago(4 * time.Second), Rules: &towpath.DriftRules{Ignore: []string{"*.log", "cache/**"}, Debounce: 10 * time.Second},
			Ignored: []towpath.FileChange{{Path: "cache/seed", How: towpath.FileWasEdited}, {Path: "cache/a", How: towpath.FileWasAdded}}, FilesIgnored: 12,
		},
		{
			Environment: "prod", Component: "web", Place: "local", Revision: "rev_1", State: towpath.DriftFlapping, Policy: towpath.DriftRepair, Since: ago(20 * time.Minute), Differences: differences, Observed: ago(5 * time.Minute),
			Why:     "It was repaired 3 times within 1h0m0s and changed back each time: it is left alone until a person repairs it or it is as it should be.",
			Repairs: []towpath.RepairAttempt{{Deployment: "dep_3", By: "towpath", Began: ago(30 * time.Minute), Ended: ago(29 * time.Minute)}},
		},
	}}
	blind := []towpath.Unseen{
		{Component: "web", Objective: "errors", Why: "Nothing was counted."},
		{Component: "api", Objective: "speed", Why: "12 requests are not the 50 that it takes.", By: "ana"},
	}
	w.Status = []inventory.Status{
		{
			Project: "shop", Environment: "dev", Release: new, Version: "1.4.0", Commit: commit, Phase: inventory.PhaseHealthy,
			Drift: towpath.DriftNone, Since: ago(3 * time.Hour), Newest: "1.4.0", Health: towpath.HealthHealthy,
			Components: []inventory.ComponentStatus{{Component: "web", Revision: "rev_2", Running: "rev_2", Health: towpath.HealthHealthy, Address: "127.0.0.1:8081", Instances: 1, Observed: ago(4 * time.Second), Drift: towpath.DriftNone}},
		},
		{
			Project: "shop", Environment: "prod", Release: old, Version: "1.3.0", Commit: commit, Phase: inventory.PhaseRolling,
			Expires: ago(48 * time.Hour), Expired: true, Drift: towpath.DriftFlapping, Since: ago(26 * time.Hour), Behind: 2, Newest: "1.4.0", Health: towpath.HealthUnhealthy,
			Unseen: blind,
			Hold:   &towpath.Hold{Reason: "rolled back: errors", By: "ana", At: ago(10 * time.Minute)}, Quarantined: true, Deployment: &active,
			Quarantine: &towpath.Quarantine{Release: old, Reason: "it leaks", By: "ana", At: ago(time.Hour)}, Rollback: &inventory.RollbackOffer{Release: new, Version: "1.2.0"},
			Freezes: []towpath.Freeze{{ID: "frz_1", Project: "shop", Reason: "launch", By: "ana", From: ago(time.Hour)}}, Queue: w.Promotions,
			Components: []inventory.ComponentStatus{{Component: "web", Revision: "rev_1", Health: towpath.HealthUnhealthy, Replacing: &inventory.Replacing{New: 2, Wanted: 5}, Detail: "503 at /healthz", Drift: towpath.DriftFlapping, Differences: differences}},
			Branch:     &inventory.BranchStatus{Name: "main", Pending: "main has a commit that 1.3.0 lacks"},
			Requires: []inventory.RequirementStatus{
				{Requirement: towpath.Requirement{Project: "billing", Versions: ">=1.2 <2"}, Found: "1.3.1", Satisfied: true},
				{Requirement: towpath.Requirement{Project: "billing", Component: "ledger", Versions: ">=2"}, Found: "1.3.1"},
				{Requirement: towpath.Requirement{Project: "search", Versions: "*"}},
			},
		},
		{Project: "shop", Environment: "trial", Phase: inventory.PhaseProposed, Drift: towpath.DriftUnknown, Health: towpath.HealthUnknown, Components: []inventory.ComponentStatus{}, Proposed: &towpath.Proposal{
			Rules:         towpath.EnvironmentSpec{Name: "trial", From: "dev", Promotion: towpath.PromotionManual, Place: "eu-1", Region: "eu-west-1", Gates: towpath.GateRules{Soak: 36 * time.Hour, Approvals: &towpath.ApprovalRule{Count: 2}, Mirrored: true}},
			PolicyVersion: digest("rules"),
		}},
		{Project: "shop", Environment: "lab", Phase: inventory.PhaseEmpty, Drift: towpath.DriftUnknown, Health: towpath.HealthUnknown, Components: []inventory.ComponentStatus{}},
	}
	w.Projects = []towpath.Project{
		{Name: "shop", Repository: "/srv/git/shop.git", CreatedAt: ago(72 * time.Hour)}, {Name: "billing", CreatedAt: ago(time.Hour)},
	}
	w.Releases = []towpath.Release{{
		Digest: new, Project: "shop", Size: 52 << 20, Published: ago(3 * time.Hour), Candidates: []towpath.Candidate{candidate},
		Versions: []towpath.VersionLabel{{Project: "shop", Version: "1.4.0", Release: new, Published: ago(3 * time.Hour)}},
		Content:  content(),
		Images: []towpath.PinnedImage{
			{Name: "redis:7", Source: "docker.io/library/redis", Digest: digest("redis"), Repository: "shop/mirror/docker.io/library/redis", Mirrored: ago(59 * time.Minute)},
			{Name: "ghcr.io/acme/base:1", Source: "ghcr.io/acme/base", Digest: digest("base"), Repository: "shop/mirror/ghcr.io/acme/base", Error: "it is down"},
		},
		Runs: []towpath.Run{
			{Environment: "dev", Candidate: "cnd_new", Deployment: "dep_1", Began: ago(3 * time.Hour), Verified: true, Unseen: append(blind[:2:2],
				towpath.Unseen{Component: "mail", Objective: "errors", Why: "nothing ran there that it could have been compared with", Unasked: true})},
			{Environment: "prod", Candidate: "cnd_new", Deployment: "dep_0", Began: ago(2 * time.Hour), Ended: ago(time.Hour), Doubt: "rolled back: errors"},
		},
	}, {Digest: old, Project: "shop", Content: content()}}
	w.Page = release.List{Next: "c2", Items: []release.Summary{
		{Digest: new, Version: "1.4.0", Candidate: "cnd_new", Commit: commit, Ref: "main", Subject: "Greet differently", Published: ago(3 * time.Hour), PublishedBy: "ana", Environments: []towpath.EnvironmentName{"dev"}},
		{Digest: old, Version: "1.3.0", Candidate: "cnd_old", Commit: commit, Published: ago(72 * time.Hour), PublishedBy: "bea", Quarantined: true, Environments: []towpath.EnvironmentName{"prod"}},
		{Digest: digest("1.5.0"), Version: "1.5.0+build.7", Candidate: "cnd_next", Commit: commit, Published: ago(time.Hour), PublishedBy: "bea"},
	}}
	w.Diff = release.Diff{A: old, B: new, Components: []release.ComponentDiff{
		{Component: "api", Action: towpath.ActionReplace, Changes: []towpath.Change{{Path: "files", Before: "sha256:aa", After: "sha256:bb"}}, Files: &release.FilesDiff{
			Added: []string{"bin/smoke"}, Removed: []string{"VERSION.old"}, Changed: []string{"VERSION", "bin/api"}, More: 3,
		}},
		{Component: "mail", Action: towpath.ActionReplace, Changes: []towpath.Change{{Path: "files", Before: "sha256:aa", After: "sha256:bb"}}, Files: &release.FilesDiff{
			Unread: "the files are not compared: a layer is not on this server",
		}},
		{Component: "old", Action: towpath.ActionRemove},
		{Component: "web", Environment: "prod", Action: towpath.ActionReplace, Changes: plan.Components[2].Changes},
	}, Rules: []release.RuleDiff{{Environment: "prod", Changes: []towpath.Change{{Path: "gates.approvals.count", Before: "2", After: "1"}}, Loosens: []string{"one approval less"}}}}
	w.Affected = []towpath.Affected{
		{Environments: []towpath.AffectedEnvironment{}, Looking: true},
		{Releases: 3, Projects: 2, Environments: []towpath.AffectedEnvironment{
			{Project: "bank", Environment: "prod", Release: old}, {Project: "shop", Environment: "prod", Release: old},
		}},
	}
	w.Materials = []towpath.MaterialQuarantine{{Project: "shop", Material: "pkg:npm/left-pad@1.3.0", Reason: "CVE-2026-1", By: "ana", At: ago(time.Hour)}}
	w.Keys = []towpath.TrustedKey{{
		Name: "builder-2026", ID: "q83vEjRWeJC6mHZUMhD+3LqYdlQyEP7cuph2VDIQ/tw=", PublicKey: "-----BEGIN PUBLIC KEY-----\n…\n-----END PUBLIC KEY-----\n", Project: "shop",
		Types: []towpath.EvidenceType{"provenance", "sbom", "signature"}, AddedBy: "ana", AddedAt: ago(48 * time.Hour),
	}, {
		Name: "security", ID: "EjRWeJC6mHZUMhD+3LqYdlQyEP7cuph2VDIQ/tzvq80=", Types: []towpath.EvidenceType{"signature"}, AddedBy: "bea", AddedAt: ago(24 * time.Hour),
		Project: "shop", Environment: "prod", Revoked: &towpath.KeyRevocation{Reason: "it leaked", By: "bea", At: ago(time.Hour)},
	}}
	w.Freezes = []towpath.Freeze{{ID: "frz_1", Project: "shop", Environment: "prod", Reason: "launch", By: "ana", From: ago(time.Hour), Until: noon().Add(time.Hour)}, {ID: "frz_2", Reason: "incident", By: "bea", From: ago(time.Minute), Emergency: true}}
	w.Accounts = []towpath.Account{{Name: "ana", Emails: []string{"ana@example.com"}, Grants: []towpath.Grant{{Role: towpath.RoleAdmin}}, CreatedAt: ago(90 * 24 * time.Hour)}, {Name: "bea", Grants: []towpath.Grant{{Role: towpath.RoleViewer, Project: "shop"}, {Role: towpath.RoleAgent, Place: "local"}}, Disabled: true}}
	w.Tokens = []towpath.Token{{ID: "tok_1", Account: "ana", Name: "laptop", CreatedAt: ago(time.Hour), ExpiresAt: noon().Add(24 * time.Hour), UsedAt: ago(time.Minute)}, {ID: "tok_0", Account: "ana", Name: "old", Revoked: true}}
	w.Append(ledger.Entry{Seq: 1, Event: towpath.Event{ID: "evt_1", At: ago(2 * time.Hour), Actor: "ana", Action: "release.published", Project: "shop", Subject: "cnd_new", Release: new, RequestID: "req_1"}},
		ledger.Entry{Seq: 2, Event: towpath.Event{ID: "evt_2", At: ago(time.Hour), Actor: "ana", Action: "promotion.requested", Project: "shop", Environment: "prod", Subject: "prm_1", Reason: "it is time"}})
	return w
}

func content() *towpath.ReleaseContent {
	return &towpath.ReleaseContent{
		Schema: towpath.ReleaseSchema, Project: "shop",
		Components: []towpath.ReleaseComponent{
			{Name: "api", Kind: towpath.KindProcess, Layer: digest("api"), Size: 1 << 20},
			{Name: "web", Kind: towpath.KindProcess, Layer: digest("web"), Size: 51 << 20, DependsOn: []towpath.ComponentName{"api"}},
		},
		Environments: []towpath.ReleaseEnvironment{
			{Rules: towpath.EnvironmentSpec{Name: "dev", Branch: "dev", Promotion: towpath.PromotionAutomatic, Place: "local"}},
			{Rules: towpath.EnvironmentSpec{Name: "lab", Promotion: towpath.PromotionManual, Place: "local", Gates: towpath.GateRules{Approvals: &towpath.ApprovalRule{Count: 1}}}},
			{Rules: towpath.EnvironmentSpec{Name: "prod", Branch: "main", From: "dev", Promotion: towpath.PromotionManual, Place: "local", Gates: towpath.GateRules{
				Soak: time.Hour, Approvals: &towpath.ApprovalRule{Count: 2}, Checks: []string{"scan"},
			}}},
		},
	}
}

// deployment is a rollback of prod in a phase: one component is done, one is
// under way, one has failed, one is unchanged.
func deployment(phase towpath.DeploymentPhase) towpath.Deployment {
	step := func(v towpath.Verb, p towpath.OperationPhase, began, ended time.Duration) towpath.Step {
		s := towpath.Step{Operation: towpath.OperationID("op_" + string(v)), Verb: v, Phase: p, Attempt: 1}
		if began > 0 {
			s.Began = ago(began)
		}
		if ended > 0 {
			s.Ended = ago(ended)
		}
		return s
	}
	failed := step(towpath.VerbVerifyBefore, towpath.OperationFailed, 20*time.Second, 15*time.Second)
	failed.Message = "GET / answered 500"
	for i := range 25 {
		failed.Log = append(failed.Log, "line "+string(rune('a'+i)))
	}
	done := []towpath.Step{
		step(towpath.VerbPrepare, towpath.OperationSucceeded, 30*time.Second, 28*time.Second),
		step(towpath.VerbVerifyBefore, towpath.OperationSucceeded, 28*time.Second, 27*time.Second),
		step(towpath.VerbSwitch, towpath.OperationSucceeded, 26*time.Second, 25*time.Second),
		step(towpath.VerbRetire, towpath.OperationSucceeded, 24*time.Second, 20*time.Second),
	}
	return towpath.Deployment{
		ID: "dep_2", Project: "shop", Environment: "prod", Kind: towpath.DeploymentRollback, Candidate: "cnd_old", Release: digest("1.3.0"),
		Version: "1.3.0", Commit: commit, Previous: digest("1.4.0"), PreviousVersion: "1.4.0", Phase: phase, Reason: "errors", By: "ana",
		CreatedAt: ago(30 * time.Second), UpdatedAt: ago(time.Second),
		Components: []towpath.Rollout{
			{Component: "db", Action: towpath.ActionNone},
			{Component: "api", Action: towpath.ActionReplace, Steps: done},
			{Component: "web", Action: towpath.ActionReplace, Steps: []towpath.Step{
				step(towpath.VerbPrepare, towpath.OperationSucceeded, 25*time.Second, 22*time.Second),
				step(towpath.VerbVerifyBefore, towpath.OperationRunning, 12*time.Second, 0),
			}},
			{Component: "mail", Action: towpath.ActionCreate, Steps: []towpath.Step{failed}},
			{Component: "old", Action: towpath.ActionRemove},
		},
	}
}

// judged is a rollout of which every second request failed.
func judged() analysis.Judgement {
	in := analysis.Input{Objectives: []analysis.Objective{{Name: "errors", Kind: analysis.Ratio, Target: 0.99, Critical: true}}}
	for i := range 5 {
		start := noon().Add(time.Duration(i) * time.Second)
		in.Intervals = append(in.Intervals, analysis.Interval{Start: start, End: start.Add(time.Second), Readings: map[string]analysis.Reading{
			"errors": {Canary: &analysis.Sample{Total: 20, Bad: 10}, Baseline: &analysis.Sample{Total: 180}},
		}})
	}
	j, err := analysis.Judge(in)
	if err != nil {
		panic(err)
	}
	return j
}
