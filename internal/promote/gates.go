package promote

import (
	"context"
	"errors"
	"slices"
	"strings"
	"time"

	"github.com/towpath/towpath/internal/gate"
	"github.com/towpath/towpath/internal/towpath"
)

// evidence gathers what the gates judge about a promotion. What can't be
// gathered is an error of its gate, which then waits; the others go on.
func (s *Service) evidence(ctx context.Context, p towpath.Promotion, now time.Time) (gate.Input, error) {
	var in gate.Input
	var merges map[towpath.CommitID]bool
	var accounts map[string]towpath.AccountName
	err := s.store.View(ctx, func(ctx context.Context, tx Tx) error {
		var err error
		if in, err = records(ctx, tx, p, now); err != nil {
			return err
		}
		if merges, err = tx.RecordedMerges(ctx, p.Project); err != nil {
			return err
		}
		accounts, err = tx.AccountsByEmail(ctx)
		return err
	})
	if err != nil {
		return in, err
	}
	if err := s.bytes(ctx, &in); err != nil {
		return in, err
	}
	s.history(ctx, &in, merges, accounts)
	s.statements(ctx, &in)
	return in, nil
}

// bytes looks whether the release is there as far as it has to be deployed. One
// whose content is lost waits for it: whoever repairs it need not ask again.
func (s *Service) bytes(ctx context.Context, in *gate.Input) error {
	p := in.Promotion
	var err error
	if in.Lost, err = s.contents.Lost(ctx, p.Project, p.Release, p.Environment); err != nil {
		in.Errors[towpath.GatePlan] = unknown("whether all of the release is there can't be looked up", err)
	}
	content, err := s.contents.Content(ctx, p.Project, p.Release)
	switch {
	case err == nil:
		in.Requires = content.Requires
	case len(in.Lost) > 0:
		in.Errors[towpath.GateCompatibility] = unknown("what the release needs to find can't be read", err)
	default:
		return err
	}
	return nil
}

// records are what the gates judge of a promotion as far as the database has it.
func records(ctx context.Context, tx Tx, p towpath.Promotion, now time.Time) (gate.Input, error) {
	in := gate.Input{Now: now, Promotion: p, Approvals: p.Approvals, Plan: p.Plan, Errors: map[towpath.GateName]gate.Unknown{}}
	var err error
	if in.Environment, err = tx.Environment(ctx, p.Project, p.Environment); err != nil {
		return in, err
	}
	if in.Candidate, err = tx.Candidate(ctx, p.Candidate); err != nil {
		return in, err
	}
	if in.Quarantine, err = tx.Quarantine(ctx, p.Project, p.Release); err != nil {
		return in, err
	}
	if in.Environment.Rules.Gates.Age > 0 {
		if in.Released, err = tx.FirstPublished(ctx, p.Project, p.Release); err != nil {
			return in, err
		}
	}
	if from := in.Environment.Rules.From; from != "" {
		if in.Upstream, err = tx.RunsOf(ctx, p.Project, from, p.Candidate); err != nil {
			return in, err
		}
	}
	if in.Freezes, err = tx.Freezes(ctx, p.Project); err != nil {
		return in, err
	}
	if in.Checks, err = tx.Checks(ctx, p.Project, p.Candidate, p.Environment); err != nil {
		return in, err
	}
	if rule := in.Environment.Rules.Gates.Provenance; rule != nil && rule.Reviewed {
		if in.Reviews, err = tx.ApprovalsOf(ctx, p.Project, p.Candidate); err != nil {
			return in, err
		}
	}
	rules, err := tx.ReplicationRules(ctx, p.Project)
	if err != nil {
		return in, err
	}
	if i := slices.IndexFunc(rules, func(r towpath.ReplicationRule) bool { return r.IsPlace() }); i >= 0 {
		in.Place = rules[i].Name
	}
	in.Rules = copying(rules)
	if len(in.Environment.Rules.Gates.Replicated) > 0 || in.Place != "" {
		if in.Replications, err = tx.ReplicationsOf(ctx, p.Project, p.Release); err != nil {
			return in, err
		}
	}
	if in.Mirror, err = tx.MirrorRule(ctx, p.Project); err != nil {
		return in, err
	}
	if in.Environment.Rules.Gates.Mirrored || len(in.Mirror.Sources) > 0 {
		if in.Images, err = tx.CandidateImages(ctx, p.Project, p.Release, p.Candidate); err != nil {
			return in, err
		}
	}
	in.Running, err = neighbours(ctx, tx, p.Environment)
	return in, err
}

// again judges what was judged before by the records as they are now: gathering
// evidence takes seconds, and somebody may have frozen, held or checked meanwhile.
// What is not in the database is as it was gathered. The caller holds the
// environment, so that no freeze or hold comes between this and its commit.
func again(ctx context.Context, tx Tx, p towpath.Promotion, was gate.Input, now time.Time) (towpath.Outcome, error) {
	in, err := records(ctx, tx, p, now)
	if err != nil {
		return "", err
	}
	in.Requires, in.Lost, in.Authors, in.Foreign, in.Attestations, in.Errors = was.Requires, was.Lost, was.Authors, was.Foreign, was.Attestations, was.Errors
	return gate.Summarise(gate.Judge(in)), nil
}

// copying are the rules that copy releases: one whose releases are brought back
// copies nothing any more.
func copying(rules []towpath.ReplicationRule) (out []towpath.ReplicationName) {
	for _, r := range rules {
		if r.Place == nil || r.IsPlace() {
			out = append(out, r.Name)
		}
	}
	return out
}

// askForCopies has a release copied that a gate waits for and that a rule need not
// be about.
func (s *Service) askForCopies(ctx context.Context, in gate.Input) error {
	lacks := gate.ToAsk(in)
	if len(lacks) == 0 {
		return nil
	}
	p := in.Promotion
	return s.store.Update(ctx, func(ctx context.Context, tx Tx) error {
		for _, name := range lacks {
			x := towpath.Replication{Project: p.Project, Rule: name, Release: p.Release, Since: in.Now, Asked: in.Now}
			if err := tx.AskReplication(ctx, x); err != nil {
				return err
			}
		}
		return tx.WakeReplications(ctx, p.Project, in.Now)
	})
}

// statements gathers what is attached to the release. An agent may ask for more
// than the gates do.
func (s *Service) statements(ctx context.Context, in *gate.Input) {
	said, err := s.said.Statements(ctx, in.Promotion.Project, in.Promotion.Environment, in.Promotion.Release)
	if err != nil {
		why := unknown("what is attached to the release can't be read", err)
		for _, t := range in.Environment.Rules.Gates.EvidenceTypes() { // who asks for nothing need not wait
			in.Errors[gateOf(t)] = why
		}
		if len(in.Environment.Rules.Gates.Replicated) > 0 { // a copy is compared with it
			in.Errors[towpath.GateReplicated] = why
		}
	}
	in.Attestations = said
}

// unknown says why evidence could not be gathered, and what helps when another
// try does not: what is damaged or gone stays so until somebody brings it back.
func unknown(what string, err error) gate.Unknown {
	message, hint := towpath.PublicMessage(err)
	out := gate.Unknown{Why: what + ": " + message}
	var known *towpath.Error
	if !errors.As(err, &known) || known.Kind == towpath.KindUnavailable {
		return out
	}
	if out.Helps = hint; hint == "" && known.Kind == towpath.KindNotFound {
		out.Helps = "attach or publish it again; `towpath registry scrub` lists all that is damaged or missing"
	}
	return out
}

// gateOf is the gate that judges a type of evidence.
func gateOf(t towpath.EvidenceType) towpath.GateName {
	switch t {
	case towpath.EvidenceSignature:
		return towpath.GateSigned
	case towpath.EvidenceProvenance:
		return towpath.GateProvenance
	case towpath.EvidenceSBOM:
		return towpath.GateSBOM
	}
	return towpath.GateScan
}

// neighbours lists what runs in the environment of this name in any project.
func neighbours(ctx context.Context, tx Tx, name towpath.EnvironmentName) ([]gate.Running, error) {
	projects, err := tx.Projects(ctx)
	if err != nil {
		return nil, err
	}
	var out []gate.Running
	for _, p := range projects {
		env, err := tx.Environment(ctx, p.Name, name)
		if towpath.KindOf(err) == towpath.KindNotFound || err == nil && env.Release == "" {
			continue
		}
		if err != nil {
			return nil, err
		}
		out = append(out, gate.Running{Project: p.Name, Version: env.Version})
		running, err := tx.Running(ctx, p.Name, name)
		if err != nil {
			return nil, err
		}
		for _, r := range running {
			if r.Revision != "" {
				out = append(out, gate.Running{Project: p.Name, Component: r.Component, Version: env.Version})
			}
		}
	}
	return out, nil
}

// toRead is what lets the server read a repository.
const toRead = "say where it lies, on the server: towpath project register NAME --repository PATH"

// history asks git who wrote what is new, and what the branch has that the
// candidate lacks. Merges that bring nothing of their own are recorded on the
// way and count no more.
func (s *Service) history(ctx context.Context, in *gate.Input, merges map[towpath.CommitID]bool, accounts map[string]towpath.AccountName) {
	p, rules := in.Promotion, in.Environment.Rules
	reviewed := rules.Gates.Provenance != nil && rules.Gates.Provenance.Reviewed
	fail := func(why gate.Unknown) {
		if rules.Gates.Approvals != nil {
			in.Errors[towpath.GateApprovals] = why
		}
		if reviewed {
			in.Errors[towpath.GateProvenance] = why
		}
	}
	has, err := s.repos.Has(ctx, p.Project)
	if err == nil && !has {
		fail(gate.Unknown{Why: "the server can't read the project's repository, so it can't tell who the authors are", Helps: toRead})
		if rules.Branch != "" {
			in.Errors[towpath.GateBranch] = gate.Unknown{Why: "the server can't read the project's repository, so it can't tell what the branch has", Helps: toRead}
		}
		return
	}
	if (rules.Gates.Approvals != nil || reviewed) && in.Candidate.Commit != in.Environment.Commit {
		authors, err := s.repos.Authors(ctx, p.Project, in.Environment.Commit, in.Candidate.Commit)
		if err != nil {
			fail(unknown("the authors can't be read from git", err))
		}
		for _, a := range authors {
			in.Authors = append(in.Authors, gate.Author{
				Commit: a.Commit, Email: a.Email, Subject: a.Subject, Account: accounts[strings.ToLower(a.Email)],
			})
		}
	}
	if rules.Branch == "" {
		return
	}
	foreign, empty, err := s.repos.Foreign(ctx, p.Project, rules.Branch, in.Candidate.Commit, func(c towpath.CommitID) bool { return merges[c] })
	if err == nil && len(empty) > 0 {
		err = s.recordMerges(ctx, p, empty, in.Now)
		foreign = slices.DeleteFunc(foreign, func(c towpath.CommitAuthor) bool { return slices.Contains(empty, c.Commit) })
	}
	if err != nil {
		in.Errors[towpath.GateBranch] = unknown("the branch can't be read from git", err)
		return
	}
	in.Foreign = foreign
}

func (s *Service) recordMerges(ctx context.Context, p towpath.Promotion, merges []towpath.CommitID, now time.Time) error {
	ev := event(p, towpath.System(), "merge.recorded", now)
	return s.store.Update(ctx, func(ctx context.Context, tx Tx) error {
		for _, c := range merges {
			if err := tx.RecordMerge(ctx, p.Project, c, now.UnixMicro()); err != nil {
				return err
			}
		}
		ev := ev
		ev.Subject = string(merges[0])
		return tx.Record(ctx, ev)
	})
}

// changed reports whether verdicts say something new; the time of judgement
// alone is not.
func changed(a, b []towpath.Verdict) bool {
	return !slices.EqualFunc(a, b, func(x, y towpath.Verdict) bool {
		return x.Gate == y.Gate && x.Outcome == y.Outcome && slices.Equal(x.Reasons, y.Reasons) && x.Until.Equal(y.Until)
	})
}

// summary is the reasons of those verdicts that have an outcome, as one line.
func summary(verdicts []towpath.Verdict, outcome towpath.Outcome) string {
	var reasons []string
	for _, v := range verdicts {
		if v.Outcome == outcome {
			reasons = append(reasons, v.Reasons...)
		}
	}
	return strings.Join(reasons, " ")
}
