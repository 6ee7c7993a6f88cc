package gate

import (
	"testing"
	"time"

	"github.com/towpath/towpath/internal/towpath"
)

func TestUpstream(t *testing.T) {
	run(t, towpath.GateUpstream, []test{
		{name: "allows what is verified in from", outcome: towpath.Allow, says: "1.4.0 is verified in staging."},
		{name: "allows anything where there is no from", outcome: towpath.Allow, says: "from no other environment",
			change: func(in *Input) { in.Environment.Rules.From, in.Upstream = "", nil }},
		{name: "waits for the first stay", outcome: towpath.Wait, says: "has not been verified in staging yet", hints: "towpath promote 1.4.0 --to staging",
			change: func(in *Input) { in.Upstream = nil }},
		{name: "does not count another candidate of the same release", outcome: towpath.Wait, says: "not been verified",
			change: func(in *Input) { in.Upstream[0].Candidate = "cnd_2" }},
		{name: "does not count a stay elsewhere", outcome: towpath.Wait, says: "not been verified",
			change: func(in *Input) { in.Upstream[0].Environment = "dev" }},
		{name: "does not count another project's stay", outcome: towpath.Wait, says: "not been verified",
			change: func(in *Input) { in.Upstream[0].Project = "billing" }},
		{name: "waits while the verification runs", outcome: towpath.Wait, says: "has not finished",
			change: func(in *Input) { in.Upstream[0].Verified = false }},
		{name: "denies what a later verification took back", outcome: towpath.Deny, says: "1.4.0 is not verified in staging: smoke test failed.", hints: "promote a repaired release",
			change: func(in *Input) { in.Upstream[0].Verified, in.Upstream[0].Doubt = false, "smoke test failed" }},
		{name: "lets a doubt weigh more than the mark of verification", outcome: towpath.Deny, says: "it leaks",
			change: func(in *Input) { in.Upstream[0].Doubt = "it leaks" }},
		{name: "denies when the latest of several stays is in doubt", outcome: towpath.Deny, says: "rolled back",
			change: func(in *Input) {
				in.Upstream = []towpath.Run{stay(noon.Add(-time.Minute), noon, "rolled back"), stay(noon.Add(-time.Hour), noon.Add(-time.Minute), "")}
			}},
		{name: "allows when a later stay proved it anew", outcome: towpath.Allow,
			change: func(in *Input) {
				in.Upstream = []towpath.Run{stay(noon.Add(-time.Minute), time.Time{}, ""), stay(noon.Add(-time.Hour), noon.Add(-time.Minute), "rolled back")}
			}},
	})
}

func TestSoak(t *testing.T) {
	run(t, towpath.GateSoak, []test{
		{name: "allows what ran long enough", outcome: towpath.Allow, says: "has run in staging since 2026-11-18T11:00:00Z; 10m are asked for."},
		{name: "allows at the very moment", outcome: towpath.Allow,
			change: func(in *Input) { in.Upstream[0].Began = noon.Add(-10 * time.Minute) }},
		{name: "allows where none is asked for", outcome: towpath.Allow, says: "no soak time",
			change: func(in *Input) { in.Environment.Rules.Gates.Soak, in.Upstream = 0, nil }},
		{name: "waits until the time is over", outcome: towpath.Wait, says: "has run in staging since 2026-11-18T11:56:00Z; 10m are asked for, so it opens at 2026-11-18T12:06:00Z.", until: noon.Add(6 * time.Minute),
			change: func(in *Input) { in.Upstream[0].Began = noon.Add(-4 * time.Minute) }},
		{name: "waits for the first stay", outcome: towpath.Wait, says: "has not begun to soak",
			change: func(in *Input) { in.Upstream = nil }},
		{name: "does not count a stay in doubt", outcome: towpath.Wait, says: "has not begun to soak",
			change: func(in *Input) { in.Upstream[0].Doubt = "it leaks" }},
		{name: "counts a stay that ended", outcome: towpath.Allow, says: "for 11m",
			change: func(in *Input) { in.Upstream[0].Ended = in.Upstream[0].Began.Add(11 * time.Minute) }},
		{name: "denies what ended too soon", outcome: towpath.Deny, says: "for 9m of the 10m that are asked for, and no longer runs there", hints: "soak again",
			change: func(in *Input) { in.Upstream[0].Ended = in.Upstream[0].Began.Add(9 * time.Minute) }},
		{name: "does not add stays up", outcome: towpath.Deny, says: "for 9m",
			change: func(in *Input) {
				for i := range 3 {
					began := noon.Add(-time.Duration(i+1) * time.Hour)
					in.Upstream = append(in.Upstream[:i], stay(began, began.Add(9*time.Minute), ""))
				}
			}},
		{name: "does not count time before it began", outcome: towpath.Wait, says: "since 2026-11-18T12:01:00Z", until: noon.Add(11 * time.Minute),
			change: func(in *Input) { in.Upstream[0].Began = noon.Add(time.Minute) }},
		{name: "denies a rule without a from", outcome: towpath.Deny, says: "names no environment to soak in",
			change: func(in *Input) { in.Environment.Rules.From = "" }},
	})
}

func TestAge(t *testing.T) {
	run(t, towpath.GateAge, []test{
		{name: "allows what is young enough", outcome: towpath.Allow, says: "The content of 1.4.0 was first published at 2026-11-18T10:00:00Z and expires at 2026-12-18T10:00:00Z; prod takes releases of up to 720h."},
		{name: "allows what expires now", outcome: towpath.Allow, change: func(in *Input) { in.Released = noon.Add(-720 * time.Hour) }},
		{name: "denies what has expired", outcome: towpath.Deny, says: "The content of 1.4.0 was first published at 2026-10-19T11:00:00Z and expired at 2026-11-18T11:00:00Z", hints: "the same content built again is the same release",
			change: func(in *Input) { in.Released = noon.Add(-721 * time.Hour) }},
		{name: "denies what has expired, under a new version too", outcome: towpath.Deny, says: "expired at 2026-11-18T11:00:00Z",
			change: func(in *Input) { in.Released, in.Candidate.Published = noon.Add(-721*time.Hour), noon }},
		{name: "denies what was published nobody knows when", outcome: towpath.Deny, change: func(in *Input) { in.Released = time.Time{} }},
		{name: "allows any age without a rule", outcome: towpath.Allow, says: "prod takes releases of any age.",
			change: func(in *Input) { in.Environment.Rules.Gates.Age, in.Released = 0, time.Time{} }},
	})
}

func TestMirrored(t *testing.T) {
	not := func(why string) func(*Input) {
		return func(in *Input) {
			in.Images.Images[0].Mirrored, in.Images.Images[0].Error = time.Time{}, why
		}
	}
	run(t, towpath.GateMirrored, []test{
		{name: "allows what is mirrored", outcome: towpath.Allow, says: "redis:7 (0123456789ab) is mirrored."},
		{name: "allows a release that takes nothing from outside", outcome: towpath.Allow, says: "takes nothing from other registries", change: func(in *Input) { in.Images.Images = nil }},
		{name: "waits for what is on its way", outcome: towpath.Wait, says: "is being mirrored", hints: "towpath registry mirror", change: not("")},
		{name: "waits for what failed", outcome: towpath.Wait, says: "could not be mirrored yet: it is down.", change: not("it is down")},
		{name: "says that nobody will ever mirror it", outcome: towpath.Wait, says: "redis:7 (0123456789ab) is mirrored from nowhere: no source covers docker.io/library/redis.",
			hints: "an administrator of the server says from where: `towpath registry mirror --from ghcr.io --from http://quay.example --from docker.io/library/redis`; until then it stays shut",
			change: func(in *Input) {
				not("no source that the project is mirrored from covers it")(in)
				in.Mirror.Sources = []towpath.MirrorSource{{From: "ghcr.io"}, {From: "quay.example", PlainHTTP: true}}
			}},
		{name: "allows what is here, though no source covers it", outcome: towpath.Allow, change: func(in *Input) { in.Mirror.Sources = nil }},
		{name: "says which name no repository here can have", outcome: towpath.Wait, says: "redis:7 (0123456789ab) can't be mirrored: it can't be a name.", hints: "how far each image is", change: func(in *Input) {
			not("it can't be a name")(in)
			in.Images.Images[0].Repository, in.Mirror.Sources = "", nil
		}},
		{name: "wants every image", outcome: towpath.Wait, says: "nginx", change: func(in *Input) {
			in.Images.Images = append(in.Images.Images, towpath.PinnedImage{Name: "nginx", Source: "docker.io/library/nginx", Repository: "shop/mirror/docker.io/library/nginx", Digest: "sha256:1"})
		}},
		{name: "denies what nobody knows the digest of", outcome: towpath.Deny, says: "takes redis:latest from outside, and nobody knows", hints: "towpath lock",
			change: func(in *Input) { in.Images.Moving = []string{"redis:latest"} }},
		{name: "waits when nobody has looked yet", outcome: towpath.Wait, says: "not looked up yet", change: func(in *Input) { in.Images = towpath.ReleaseImages{} }},
		{name: "waits when another candidate was looked at", outcome: towpath.Wait, says: "not looked up yet", change: func(in *Input) { in.Images.Candidates[0] = "cnd_other" }},
		{name: "does not count another release's images", outcome: towpath.Wait, change: func(in *Input) { in.Images.Release = "sha256:old" }},
		{name: "does not count another project's images", outcome: towpath.Wait, change: func(in *Input) { in.Images.Project = "billing" }},
	})
	unasked := func(change func(*Input)) func(*Input) {
		return func(in *Input) { in.Environment.Rules.Gates.Mirrored = false; change(in) }
	}
	run(t, towpath.GateMirrored, []test{
		{name: "unasked, allows where nothing is mirrored", outcome: towpath.Allow, says: "does not ask that images are mirrored, and no registry is mirrored for shop",
			change: unasked(func(in *Input) { in.Images, in.Mirror.Sources = towpath.ReleaseImages{}, nil })},
		{name: "unasked, allows what is mirrored", outcome: towpath.Allow, says: "redis:7 (0123456789ab) is mirrored.", change: unasked(func(*Input) {})},
		{name: "unasked, waits for what a source covers", outcome: towpath.Wait, says: "is being mirrored", hints: "what no source covers is not waited for", change: unasked(not(""))},
		{name: "unasked, waits for what a source that is down covers", outcome: towpath.Wait, says: "could not be mirrored yet: it is down.", change: unasked(not("it is down"))},
		{name: "unasked, waits when nobody has looked yet", outcome: towpath.Wait, says: "not looked up yet", change: unasked(func(in *Input) { in.Images = towpath.ReleaseImages{} })},
		{name: "unasked, says what no source covers", outcome: towpath.Allow, says: "is mirrored from nowhere: no source covers docker.io/library/redis.", change: unasked(func(in *Input) {
			not("")(in)
			in.Mirror.Sources = []towpath.MirrorSource{{From: "ghcr.io"}}
		})},
		{name: "unasked, says what can't be here", outcome: towpath.Allow, says: "can't be mirrored: it can't be a name.", change: unasked(func(in *Input) {
			not("it can't be a name")(in)
			in.Images.Images[0].Repository = ""
		})},
		{name: "unasked, says what nobody knows the digest of", outcome: towpath.Allow, says: "takes redis:latest from outside, and nobody knows",
			change: unasked(func(in *Input) { in.Images.Moving = []string{"redis:latest"} })},
	})
}

func TestToAsk(t *testing.T) {
	for _, c := range []struct {
		name   string
		change func(in *Input)
		asks   bool
	}{
		{name: "of nothing that was copied", change: func(*Input) {}},
		{name: "of what is not known", asks: true, change: func(in *Input) { in.Replications = nil }},
		{name: "of no rule that is not there", change: func(in *Input) { in.Replications, in.Rules = nil, nil }},
		{name: "of what was copied without a statement", asks: true, change: func(in *Input) { in.Replications[0].Attached = in.Replications[0].Attached[1:] }},
		{name: "of what was copied without a provenance", asks: true, change: func(in *Input) { in.Replications[0].Candidates = nil }},
		{name: "of nothing for what proves nothing", change: func(in *Input) {
			in.Attestations = append(in.Attestations, towpath.Attestation{Artifact: "sha256:flood", Refused: "its key is not trusted"})
		}},
		{name: "of nothing twice", change: func(in *Input) { in.Replications[0].Attached, in.Replications[0].Asked = nil, noon }},
		{name: "of nothing that is on its way", change: func(in *Input) { in.Replications[0].Attached, in.Replications[0].Done = nil, time.Time{} }},
		{name: "of nothing that no gate waits for", change: func(in *Input) { in.Replications, in.Environment.Rules.Gates.Replicated = nil, nil }},
	} {
		t.Run(c.name, func(t *testing.T) {
			in := passing()
			in.Rules = []towpath.ReplicationName{"eu"}
			c.change(&in)
			if got := ToAsk(in); len(got) == 1 != c.asks || len(got) > 1 {
				t.Errorf("asks %v", got)
			}
		})
	}
}

func TestReplicated(t *testing.T) {
	run(t, towpath.GateReplicated, []test{
		{name: "allows what was copied", outcome: towpath.Allow, says: "1.4.0 was copied by eu."},
		{name: "allows what was copied, and is being copied again", outcome: towpath.Allow, change: func(in *Input) { in.Replications[0].Error = "it is down" }},
		{name: "waits for the first copy", outcome: towpath.Wait, says: "1.4.0 is being copied by eu.", hints: "opens once they are there",
			change: func(in *Input) { in.Replications[0].Done = time.Time{} }},
		{name: "says why a copy fails", outcome: towpath.Wait, says: "could not be copied by eu yet: the registry can't be reached.",
			change: func(in *Input) {
				in.Replications[0].Done, in.Replications[0].Error = time.Time{}, "the registry can't be reached"
			}},
		{name: "waits for a statement that came after the copy", outcome: towpath.Wait, says: "without what is attached to it since: a statement.", hints: "opens once they are there",
			change: func(in *Input) { in.Replications[0].Attached = in.Replications[0].Attached[1:] }},
		{name: "says why what came after is not copied", outcome: towpath.Wait, says: "4 statements. The last attempt failed: it is down.",
			change: func(in *Input) {
				in.Replications[0].Attached, in.Replications[0].Error = nil, "it is down"
			}},
		{name: "does not wait for what proves nothing", outcome: towpath.Allow, change: func(in *Input) {
			in.Attestations = append(in.Attestations, towpath.Attestation{Artifact: "sha256:flood", Refused: "its key is not trusted"})
		}},
		{name: "waits for the provenance of a candidate that came after the copy", outcome: towpath.Wait, says: "since: what it was published with",
			change: func(in *Input) { in.Replications[0].Candidates = []towpath.CandidateID{"cnd_other"} }},
		{name: "waits for a rule that nobody made", outcome: towpath.Wait, says: "there is no such rule", hints: "towpath replication add eu",
			change: func(in *Input) { in.Replications = nil }},
		{name: "waits for a rule that has not copied it", outcome: towpath.Wait, says: "1.4.0 is not copied by eu yet.", hints: "opens once they are there",
			change: func(in *Input) { in.Replications, in.Rules = nil, []towpath.ReplicationName{"eu"} }},
		{name: "does not count another release's copy", outcome: towpath.Wait, change: func(in *Input) { in.Replications[0].Release = "sha256:old" }},
		{name: "does not count another rule's copy", outcome: towpath.Wait, change: func(in *Input) { in.Replications[0].Rule = "us" }},
		{name: "does not count another project's copy", outcome: towpath.Wait, change: func(in *Input) { in.Replications[0].Project = "billing" }},
		{name: "asks for all of them", outcome: towpath.Wait, says: "there is no such rule", change: func(in *Input) {
			in.Environment.Rules.Gates.Replicated = append(in.Environment.Rules.Gates.Replicated, "us")
		}},
		{name: "asks for the place where releases live, whatever the rules say", outcome: towpath.Wait, says: "1.4.0 is not yet where the releases live (home).",
			hints: "opens once they are there", change: func(in *Input) { in.Environment.Rules.Gates.Replicated, in.Place = nil, "home" }},
		{name: "allows what is where releases live", outcome: towpath.Allow, says: "1.4.0 was copied by eu.",
			change: func(in *Input) { in.Environment.Rules.Gates.Replicated, in.Place = nil, "eu" }},
		{name: "allows anything without a rule", outcome: towpath.Allow, says: "asks for no copies",
			change: func(in *Input) { in.Environment.Rules.Gates.Replicated, in.Replications = nil, nil }},
	})
}

func TestHold(t *testing.T) {
	held := func(mode towpath.PromotionMode) func(*Input) {
		return func(in *Input) {
			in.Promotion.Mode = mode
			in.Environment.Hold = &towpath.Hold{Reason: "checkout is slow", By: "olga", At: noon}
		}
	}
	run(t, towpath.GateHold, []test{
		{name: "allows without a hold", outcome: towpath.Allow, says: "no hold on prod"},
		{name: "makes an automatic promotion wait", outcome: towpath.Wait, says: "set by olga: “checkout is slow”", hints: "towpath unhold prod", change: held(towpath.PromotionAutomatic)},
		{name: "makes a promotion of an unknown mode wait", outcome: towpath.Wait, says: "on hold", change: held("")},
		{name: "allows a person's promotion and names the hold", outcome: towpath.Allow, says: "prod is on hold, set by olga", change: held(towpath.PromotionManual)},
	})
}

func TestQuarantine(t *testing.T) {
	run(t, towpath.GateQuarantine, []test{
		{name: "allows what is not revoked", outcome: towpath.Allow},
		{name: "denies what is", outcome: towpath.Deny, says: "quarantined by olga: “CVE-2026-1”", hints: "another release",
			change: func(in *Input) { in.Quarantine = &towpath.Quarantine{Reason: "CVE-2026-1", By: "olga"} }},
	})
}

func TestChecks(t *testing.T) {
	set := func(state towpath.CheckState) func(*Input) {
		return func(in *Input) { in.Checks[0].State, in.Checks[0].Description = state, "p95 is 900 ms" }
	}
	later := func(state towpath.CheckState, env towpath.EnvironmentName) func(*Input) {
		return func(in *Input) {
			c := in.Checks[0]
			c.State, c.Environment, c.At = state, env, c.At.Add(time.Second)
			in.Checks = append([]towpath.Check{c}, in.Checks...)
		}
	}
	run(t, towpath.GateChecks, []test{
		{name: "allows what succeeded", outcome: towpath.Allow, says: "The check ci/load-test succeeded."},
		{name: "allows where none is asked for", outcome: towpath.Allow, change: func(in *Input) { in.Environment.Rules.Gates.Checks = nil }},
		{name: "waits for what was not posted", outcome: towpath.Wait, says: "has not been posted for 1.4.0", change: func(in *Input) { in.Checks = nil }},
		{name: "waits for what is running", outcome: towpath.Wait, says: "is still running", change: set(towpath.CheckPending)},
		{name: "waits for a failed one to be posted again", outcome: towpath.Wait, says: "failed: “p95 is 900 ms”", change: set(towpath.CheckFailure)},
		{name: "waits on an error", outcome: towpath.Wait, says: "could not be carried out", change: set(towpath.CheckError)},
		{name: "waits on a state that it does not know", outcome: towpath.Wait, says: "unknown state", change: set("splendid")},
		{name: "takes the latest status", outcome: towpath.Wait, says: "failed", change: later(towpath.CheckFailure, "")},
		{name: "takes a later status for this environment", outcome: towpath.Wait, says: "failed", change: later(towpath.CheckFailure, "prod")},
		{name: "ignores a status for another environment", outcome: towpath.Allow, change: later(towpath.CheckFailure, "staging")},
		{name: "ignores a status of another candidate", outcome: towpath.Wait, says: "has not been posted", change: func(in *Input) { in.Checks[0].Candidate = "cnd_2" }},
		{name: "ignores a status of another project", outcome: towpath.Wait, says: "has not been posted", change: func(in *Input) { in.Checks[0].Project = "billing" }},
		{name: "takes the worse of two at once", outcome: towpath.Wait, says: "failed", change: func(in *Input) {
			c := in.Checks[0]
			c.State = towpath.CheckFailure
			in.Checks = append([]towpath.Check{c}, in.Checks...)
		}},
		{name: "wants every key", outcome: towpath.Wait, says: "ci/soak has not been posted", change: func(in *Input) {
			in.Environment.Rules.Gates.Checks = append(in.Environment.Rules.Gates.Checks, "ci/soak")
		}},
	})
}

func TestCompatibility(t *testing.T) {
	version := func(v string) func(*Input) { return func(in *Input) { in.Running[0].Version = v } }
	run(t, towpath.GateCompatibility, []test{
		{name: "allows a version in the range", outcome: towpath.Allow, says: "billing/api >=1.2 <2, and 1.3.0 runs"},
		{name: "allows a release that needs nothing", outcome: towpath.Allow, says: "needs no other project", change: func(in *Input) { in.Requires, in.Running = nil, nil }},
		{name: "waits for what does not run", outcome: towpath.Wait, says: "none runs in prod", hints: "first", change: func(in *Input) { in.Running = nil }},
		{name: "waits for another version", outcome: towpath.Wait, says: "and 1.1.9 runs in prod", change: version("1.1.9")},
		{name: "waits on a version that can't be read", outcome: towpath.Wait, says: "no semantic version", change: version("newest")},
		{name: "waits on a range that can't be read", outcome: towpath.Wait, says: "no range of versions", change: func(in *Input) { in.Requires[0].Versions = "two" }},
		{name: "wants every instance of what it needs", outcome: towpath.Wait, says: "and 0.9.0 runs", change: func(in *Input) {
			in.Running = append(in.Running, Running{Project: "billing", Component: "api", Version: "0.9.0"})
		}},
		{name: "takes any component when none is named", outcome: towpath.Allow, change: func(in *Input) { in.Requires[0].Component = "" }},
	})
}

func TestSatisfies(t *testing.T) {
	for _, tt := range []struct {
		version, versions string
		want              bool
	}{
		{"1.2.0", ">=1.2 <2", true}, {"1.99.1", ">=1.2 <2", true}, {"2.0.0", ">=1.2 <2", false}, {"1.1.9", ">=1.2 <2", false},
		{"1.2.0+g1", ">=1.2 <2", true}, {"v1.2.0", ">=1.2 <2", true},
		{"1.3.0-dev.4+gabc", ">=1.2 <2", true}, {"1.2.0-rc.1", ">=1.2 <2", false}, {"2.0.0-rc.1", ">=1.2 <2", false},
		{"2.0.0-rc.1", ">=1.2 <2.0.0-0", false}, {"2.0.0-rc.1", ">=2.0.0-0", true}, {"1.2.0-rc.1", "1.2.0-rc.1", true},
		{"0.0.0-dev.12+g1", ">=0.0.0-0", true}, {"0.0.0-dev.12+g1", ">=1.2", false}, {"0.0.0-dev.12+g1", "*", true},
		{"1.5.0-dev.1", "^1.2", true}, {"1.5.0-dev.1", "~1.4", false}, {"3.0.0", "^1 || ^3", true},
	} {
		t.Run(tt.version+" in "+tt.versions, func(t *testing.T) {
			got, err := Satisfies(tt.version, tt.versions)
			if err != nil || got != tt.want {
				t.Errorf("got %t, %v; want %t", got, err, tt.want)
			}
		})
	}
}

func TestBranch(t *testing.T) {
	foreign := func(n int) func(*Input) {
		return func(in *Input) {
			for i := range n {
				in.Foreign = append(in.Foreign, towpath.CommitAuthor{Commit: towpath.CommitID(rune('a'+i)) + "000", Email: "dora@example.com", Subject: "hotfix"})
			}
		}
	}
	run(t, towpath.GateBranch, []test{
		{name: "allows a branch that can advance", outcome: towpath.Allow, says: "The branch main can advance to 1.4.0."},
		{name: "allows an environment without a branch", outcome: towpath.Allow, says: "prod has no branch", change: func(in *Input) { foreign(1)(in); in.Environment.Rules.Branch = "" }},
		{name: "denies and lists a foreign commit", outcome: towpath.Deny, says: "has 1 commit that 1.4.0 lacks. a000 by dora@example.com: “hotfix”.", hints: "merge them back upstream first", change: foreign(1)},
		{name: "lists ten of many", outcome: towpath.Deny, says: "j000 by dora@example.com: “hotfix”. And 2 more.", change: foreign(12)},
	})
}

func TestPlan(t *testing.T) {
	run(t, towpath.GatePlan, []test{
		{name: "allows a plan on what runs", outcome: towpath.Allow, says: "The plan is known: 1 to replace, 1 unchanged."},
		{name: "allows one that changes all", outcome: towpath.Allow, says: "The plan is known: 1 to create, 1 to remove.", change: func(in *Input) {
			in.Plan.Components = []towpath.ComponentPlan{{Component: "api", Action: towpath.ActionCreate}, {Component: "db", Action: towpath.ActionRemove}}
		}},
		{name: "allows an empty one", outcome: towpath.Allow, says: "The plan is known: nothing changes.", change: func(in *Input) { in.Plan.Components = nil }},
		{name: "waits for a plan", outcome: towpath.Wait, says: "not been computed yet", change: func(in *Input) { in.Plan = nil }},
		{name: "takes a plan without a hash for none", outcome: towpath.Wait, says: "not been computed yet", change: func(in *Input) { in.Plan.Hash = "" }},
		{name: "waits when the base has moved", outcome: towpath.Wait, says: "another release than the one that prod runs now", change: func(in *Input) { in.Environment.Release = "sha256:other" }},
		{name: "waits when what it needs is lost", outcome: towpath.Wait, hints: "`towpath registry scrub --repair-from eu` fetches it from where that rule copies releases; or publish the same content again: `towpath release build --ref c2`; it opens by itself then",
			says: "The plan can't be carried out: the server has lost the layer of api (sha256:layer), the manifest (sha256:new) of 1.4.0.", change: func(in *Input) {
				in.Rules = []towpath.ReplicationName{"us", "eu"}
				in.Lost = []towpath.LostPart{{What: "the manifest", Digest: "sha256:new"}, {What: "the layer of api", Digest: "sha256:layer"}}
			}},
		{name: "says how it comes back without copies", outcome: towpath.Wait, says: "the layer of api", hints: "publish the same content again: `towpath release build --ref c2`; it opens", change: func(in *Input) {
			in.Lost = []towpath.LostPart{{What: "the layer of api", Digest: "sha256:layer"}}
		}},
		{name: "waits when the plan can't be computed", outcome: towpath.Wait, says: "could not be found out: the agent does not answer.", change: func(in *Input) {
			in.Errors = map[towpath.GateName]Unknown{towpath.GatePlan: {Why: "the agent does not answer"}}
		}},
	})
}
