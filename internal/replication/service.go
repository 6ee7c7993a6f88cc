package replication

import (
	"cmp"
	"context"
	"regexp"
	"slices"
	"time"

	v1 "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/towpath/towpath/internal/access"
	"github.com/towpath/towpath/internal/blob"
	"github.com/towpath/towpath/internal/replicate"
	"github.com/towpath/towpath/internal/towpath"
)

// WorkReplication is the kind of work of the loop; its key is project/rule.
const WorkReplication = "replication"

// Store opens transactions.
type Store interface {
	Update(ctx context.Context, f func(context.Context, Tx) error) error
	View(ctx context.Context, f func(context.Context, Tx) error) error
}

// Tx is what replication reads and writes in one transaction.
type Tx interface {
	Record(ctx context.Context, ev towpath.Event) error
	Enqueue(ctx context.Context, kind, key string, due time.Time) error
	// WakePromotions has every promotion of a project that has not ended judged
	// again.
	WakePromotions(ctx context.Context, p towpath.ProjectName, now time.Time) error

	Project(ctx context.Context, name towpath.ProjectName) (towpath.Project, error)
	Environment(ctx context.Context, p towpath.ProjectName, e towpath.EnvironmentName) (towpath.Environment, error)
	Environments(ctx context.Context, p towpath.ProjectName) ([]towpath.Environment, error)
	// LastPublished says when each release was published last, under any version.
	LastPublished(ctx context.Context, p towpath.ProjectName) (map[towpath.Digest]time.Time, error)
	Whole(ctx context.Context, p towpath.ProjectName) ([]towpath.Release, error)
	Runs(ctx context.Context, p towpath.ProjectName, e towpath.EnvironmentName, limit int) ([]towpath.Run, error)
	Versions(ctx context.Context, p towpath.ProjectName, d towpath.Digest) ([]towpath.VersionLabel, error)
	CandidatesOf(ctx context.Context, p towpath.ProjectName, d towpath.Digest) ([]towpath.Candidate, error)
	Artifact(ctx context.Context, r towpath.RepositoryName, d towpath.Digest) (towpath.Artifact, error)
	Referrers(ctx context.Context, r towpath.RepositoryName, subject towpath.Digest, artifactType string, after towpath.Digest, limit int) ([]towpath.Artifact, error)

	// InsertReplicationRule adds a rule; a name that is taken is a conflict.
	InsertReplicationRule(ctx context.Context, r towpath.ReplicationRule) error
	ReplicationRule(ctx context.Context, p towpath.ProjectName, name towpath.ReplicationName) (towpath.ReplicationRule, error)
	ReplicationRules(ctx context.Context, p towpath.ProjectName) ([]towpath.ReplicationRule, error) // by name
	AllReplicationRules(ctx context.Context) ([]towpath.ReplicationRule, error)
	// DeleteReplicationRule takes a rule away, with what is known of its copies.
	DeleteReplicationRule(ctx context.Context, p towpath.ProjectName, name towpath.ReplicationName) error
	// Replications are the releases under a rule, oldest wish first.
	Replications(ctx context.Context, p towpath.ProjectName, name towpath.ReplicationName) ([]towpath.Replication, error)
	SaveReplication(ctx context.Context, r towpath.Replication) error
	DeleteReplication(ctx context.Context, r towpath.Replication) error
	SaveReplicationRule(ctx context.Context, r towpath.ReplicationRule) error
	// PlaceLayer says that a layer was compared at a place.
	PlaceLayer(ctx context.Context, l towpath.Placed) error
}

// Keeper brings back what is only at the place of a rule, and ends the rule.
type Keeper interface {
	BringBack(ctx context.Context, r towpath.ReplicationRule) error
}

// Statements are what is said about a release, and which of it is verified.
type Statements interface {
	// Statements are those under the keys of an environment, or with none of any
	// in the project; exhausted: there are too many to look at.
	Statements(ctx context.Context, p towpath.ProjectName, e towpath.EnvironmentName, release towpath.Digest) ([]towpath.Attestation, error)
}

// Target is a registry that is written to.
type Target interface {
	replicate.Destination
	Resolve(ctx context.Context, cfg replicate.Config, ref string) (v1.Descriptor, error)
	Tag(ctx context.Context, cfg replicate.Config, d v1.Descriptor, manifest []byte, tag string) error
	// Installation is which installation of Towpath it is; empty: of none, or
	// nobody knows now.
	Installation(ctx context.Context) string
}

// Config says how the service works.
type Config struct {
	Now func() time.Time
	// Connect makes the client of a repository; it connects to nothing.
	Connect func(r towpath.ReplicationRule) (Target, error)
	// Own is which installation this server is; empty: nobody asks.
	Own string
	// Every is how often a place that has everything is looked at although
	// nothing woke the loop; default 1 min.
	Every time.Duration
	// Longest bounds one attempt at one release: a place that stalls must not hold
	// its rule for ever, without a word. Default 1 h.
	Longest time.Duration
	// Keeper ends rules whose repository is the place of releases.
	Keeper Keeper
	// Said tells what the gate replicated waits for: it is never left out.
	Said Statements
	// Limits bound a copy; what is about a release and beyond them is left out.
	Limits replicate.Limits
}

// Service is the use case.
type Service struct {
	cfg   Config
	store Store
	blobs blob.Store
}

// New makes the service.
func New(cfg Config, store Store, blobs blob.Store) *Service {
	if cfg.Every <= 0 {
		cfg.Every = time.Minute
	}
	if cfg.Longest <= 0 {
		cfg.Longest = time.Hour
	}
	return &Service{cfg: cfg, store: store, blobs: blobs}
}

var namePattern = regexp.MustCompile(`^[a-z]([a-z0-9-]{0,61}[a-z0-9])?$`)

// maxRules bounds the rules of a project.
const maxRules = 32

// Add has releases copied to another registry from now on: those that are
// published later, or those that an environment runs, or every environment of an
// account, a region, or both. It takes the right to manage the server, whose logins are used, and
// not a project of it: what these may read and write is not one project's matter.
func (s *Service) Add(ctx context.Context, actor towpath.Actor, r towpath.ReplicationRule) (towpath.ReplicationRule, error) {
	const op = "replication.add"
	if err := access.Check(actor, access.ServerManage, access.Subject{}); err != nil {
		return r, err
	}
	if !namePattern.MatchString(string(r.Name)) {
		return r, towpath.E(towpath.KindInvalid, op, "%q is no name for a rule", r.Name).WithHint("small letters, digits and dashes, as in eu-west")
	}
	if _, tag, err := replicate.SplitReference(r.To); err != nil {
		return r, err
	} else if tag != "" {
		return r, towpath.E(towpath.KindInvalid, op, "a rule copies many releases, each under its own versions: %q has a tag", r.To).
			WithHint("name the repository alone")
	}
	if err := about(r); err != nil {
		return r, err
	}
	if err := placeable(r); err != nil {
		return r, err
	}
	if err := s.another(ctx, r); err != nil {
		return r, err
	}
	now := s.cfg.Now()
	r.AddedBy, r.AddedAt = actor.Account, now
	ev := towpath.NewEvent(now, string(actor.Account), "replication.added")
	ev.Project, ev.Environment, ev.Subject, ev.Reason, ev.RequestID = r.Project, r.On, string(r.Name), r.To, actor.RequestID
	return r, s.store.Update(ctx, func(ctx context.Context, tx Tx) error {
		if _, err := tx.Project(ctx, r.Project); err != nil {
			return err
		}
		if r.On != "" {
			if _, err := tx.Environment(ctx, r.Project, r.On); err != nil {
				return err
			}
		}
		have, err := tx.AllReplicationRules(ctx)
		if err != nil {
			return err
		}
		if err := fits(r, have); err != nil {
			return err
		}
		if err := tx.InsertReplicationRule(ctx, r); err != nil {
			return err
		}
		if err := tx.Enqueue(ctx, WorkReplication, key(r), now); err != nil {
			return err
		}
		if err := tx.WakePromotions(ctx, r.Project, now); err != nil { // their gates may ask for it
			return err
		}
		return tx.Record(ctx, ev)
	})
}

var labelPattern = regexp.MustCompile(towpath.LabelPattern)

// about makes sure that it is clear what a rule is about.
func about(r towpath.ReplicationRule) error {
	const op = "replication.add"
	if r.On != "" && r.ByLabel() {
		return towpath.E(towpath.KindInvalid, op, "a rule is about the environment %s, or about those of an account or a region", r.On).
			WithHint("leave the environment away, or the account and the region")
	}
	for what, label := range map[string]string{"an account": string(r.Account), "a region": string(r.Region)} {
		if label != "" && !labelPattern.MatchString(label) {
			return towpath.E(towpath.KindInvalid, op, "%q is no name of %s", label, what).
				WithHint("up to 63 letters, digits, dots, colons, dashes and underscores, as in 123456789012 or eu-west-1")
		}
	}
	return nil
}

// another makes sure that a rule copies to another registry than this one, which
// would keep what it has in the same store: nothing would be safer, and a place
// of releases would let go here what is only here. Which registry it is it says
// itself, by whatever name it was reached; one that can't be reached is not this
// server.
func (s *Service) another(ctx context.Context, r towpath.ReplicationRule) error {
	target, err := s.cfg.Connect(r)
	if err != nil {
		return err
	}
	if s.cfg.Own == "" || target.Installation(ctx) != s.cfg.Own {
		return nil
	}
	return towpath.E(towpath.KindInvalid, "replication.add", "the registry at %s is this server's own: a copy there would be kept in the same store", r.To).
		WithHint("name a repository of another registry")
}

// fits makes sure that a repository has one writer: two that write lists of
// referrers at once could lose some.
func fits(r towpath.ReplicationRule, have []towpath.ReplicationRule) error {
	const op = "replication.add"
	n := 0
	for _, h := range have {
		if h.Project == r.Project {
			n++
			if h.Place != nil && r.Place != nil {
				return towpath.E(towpath.KindConflict, op, "the releases live at %s already, by the rule %s", h.To, h.Name).
					WithHint("a project has one place: remove that rule first, which brings everything back")
			}
		}
		if h.To == r.To && (h.Project != r.Project || h.Name != r.Name) {
			return towpath.E(towpath.KindConflict, op, "the rule %s of project %s writes to %s already", h.Name, h.Project, h.To).
				WithHint("a repository has one writer: copy to another repository, or remove that rule")
		}
	}
	if n >= maxRules {
		return towpath.E(towpath.KindExhausted, op, "a project has at most %d rules", maxRules)
	}
	return nil
}

func key(r towpath.ReplicationRule) string { return string(r.Project) + "/" + string(r.Name) }

// Remove ends a rule. What was copied stays where it is. Where releases live, it
// ends when all that is only there was brought back, which the loop does; with
// abandon it ends at once, and what is only there is lost.
func (s *Service) Remove(ctx context.Context, actor towpath.Actor, p towpath.ProjectName, name towpath.ReplicationName, abandon bool) error {
	if err := access.Check(actor, access.ServerManage, access.Subject{Project: p}); err != nil {
		return err
	}
	now := s.cfg.Now()
	ev := towpath.NewEvent(now, string(actor.Account), "replication.removed")
	ev.Project, ev.Subject, ev.RequestID = p, string(name), actor.RequestID
	return s.store.Update(ctx, func(ctx context.Context, tx Tx) error {
		rule, err := tx.ReplicationRule(ctx, p, name)
		if err != nil {
			return err
		}
		if rule.Place != nil && !abandon {
			return leave(ctx, tx, rule, ev)
		}
		if rule.Place != nil {
			ev.Reason = "abandoned"
		}
		if err := tx.DeleteReplicationRule(ctx, p, name); err != nil {
			return err
		}
		return tx.Record(ctx, ev)
	})
}

// leave begins to bring back what is only at a place. From now on nothing waits
// for copies there, and nothing is let go here.
func leave(ctx context.Context, tx Tx, rule towpath.ReplicationRule, ev towpath.Event) error {
	if rule.IsPlace() {
		rule.Place.Leaving = ev.At
		if err := tx.SaveReplicationRule(ctx, rule); err != nil {
			return err
		}
		ev.Action = "place.leaving"
		if err := tx.Record(ctx, ev); err != nil {
			return err
		}
		if err := tx.WakePromotions(ctx, rule.Project, ev.At); err != nil {
			return err
		}
	}
	return tx.Enqueue(ctx, WorkReplication, key(rule), ev.At)
}

// placeable makes sure that releases can live where a rule copies them.
func placeable(r towpath.ReplicationRule) error {
	const op = "replication.add"
	switch {
	case r.Place == nil:
		return nil
	case r.On != "":
		return towpath.E(towpath.KindInvalid, op, "the place of releases has every release, not those of %s alone", r.On).
			WithHint("leave --on away")
	case r.ByLabel():
		return towpath.E(towpath.KindInvalid, op, "the place of releases has every release, not those of an account or a region alone").
			WithHint("leave --account and --region away")
	case r.Place.Keep < 0 || r.Place.Cache < 0:
		return towpath.E(towpath.KindInvalid, op, "layers can't be kept here for less than no time, nor in less than no space")
	}
	return nil
}

// Status is how far a place is.
type Status struct {
	towpath.ReplicationRule
	Whole int `json:"whole"` // releases that are there with everything
	// Behind are those that are not, oldest wish first, also what was published
	// while an attempt at another one is under way; Lag is since when the first
	// of them has been wanted there.
	Behind []towpath.Replication `json:"behind"`
	Lag    time.Time             `json:"lag,omitzero"`
	// Left says of which releases not all is copied that is about them, and why.
	Left []string `json:"left,omitempty"`
}

// List says how far the places of a project are, by name.
func (s *Service) List(ctx context.Context, actor towpath.Actor, p towpath.ProjectName) ([]Status, error) {
	if err := access.Check(actor, access.ProjectRead, access.Subject{Project: p}); err != nil {
		return nil, err
	}
	out := []Status{}
	err := s.store.View(ctx, func(ctx context.Context, tx Tx) error {
		out = []Status{}
		if _, err := tx.Project(ctx, p); err != nil {
			return err
		}
		rules, err := tx.ReplicationRules(ctx, p)
		if err != nil {
			return err
		}
		for _, r := range rules {
			all, err := tx.Replications(ctx, p, r.Name)
			if err != nil {
				return err
			}
			wanted, err := wish(ctx, tx, r, all)
			if err != nil {
				return err
			}
			out = append(out, status(r, all, wanted))
		}
		return nil
	})
	return out, err
}

// status counts what is known of copies and what the loop has not seen yet.
// Where what lives at a place is brought back, nothing more is wanted there.
func status(r towpath.ReplicationRule, all []towpath.Replication, wanted []due) Status {
	st := Status{ReplicationRule: r, Behind: []towpath.Replication{}}
	if r.Place != nil && !r.IsPlace() {
		wanted = nil
	}
	for _, x := range all {
		if !slices.ContainsFunc(wanted, func(d due) bool { return d.Release == x.Release }) {
			wanted = append(wanted, due{Replication: x})
		}
	}
	for _, d := range wanted {
		if d.Left != "" {
			st.Left = append(st.Left, cmp.Or(d.Version, towpath.Short(d.Release))+": "+d.Left)
		}
		switch {
		case d.Fresh.IsZero():
			st.Behind = append(st.Behind, d.Replication)
		case d.overdue():
			d.Fresh, d.Since = time.Time{}, d.published
			st.Behind = append(st.Behind, d.Replication)
		default:
			st.Whole++
		}
	}
	slices.SortStableFunc(st.Behind, func(a, b towpath.Replication) int { return a.Since.Compare(b.Since) })
	if len(st.Behind) > 0 {
		st.Lag = st.Behind[0].Since
	}
	return st
}
