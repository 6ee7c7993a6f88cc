package deploy

import (
	"context"
	"log/slog"
	"sync/atomic"
	"time"

	"github.com/towpath/towpath/internal/access"
	"github.com/towpath/towpath/internal/drift"
	"github.com/towpath/towpath/internal/experiment"
	"github.com/towpath/towpath/internal/rollout"
	"github.com/towpath/towpath/internal/towpath"
)

// Work kinds of the loops that deploy wakes or is woken by.
const (
	WorkDeployment  = "deployment"  // key: a deployment's ID; this package's loop
	WorkMeasurement = "measurement" // key: a deployment's ID: ask metric sources about it
	WorkPromotion   = "promotion"   // key: a promotion's ID
	WorkEnvironment = "environment" // key: project/environment: look for something to promote
	WorkRef         = "ref"         // key: project/environment: project it into git
	WorkDrift       = "drift"       // key: project/environment: repair what has drifted
)

// Session is one run of an agent in a place.
type Session struct {
	Place towpath.PlaceName
	Agent string
	ID    string
	Seen  time.Time
}

// Store opens transactions.
type Store interface {
	Update(ctx context.Context, f func(context.Context, Tx) error) error
	View(ctx context.Context, f func(context.Context, Tx) error) error
}

// Tx is what deploy reads and writes in one transaction.
type Tx interface {
	Record(ctx context.Context, ev towpath.Event) error
	Enqueue(ctx context.Context, kind, key string, due time.Time) error
	AfterCommit(f func())

	Environment(ctx context.Context, p towpath.ProjectName, e towpath.EnvironmentName) (towpath.Environment, error)
	LockEnvironment(ctx context.Context, p towpath.ProjectName, e towpath.EnvironmentName) (towpath.Environment, error)
	Environments(ctx context.Context, p towpath.ProjectName) ([]towpath.Environment, error)
	SaveEnvironment(ctx context.Context, e towpath.Environment) error
	SaveRun(ctx context.Context, r towpath.Run) error
	Runs(ctx context.Context, p towpath.ProjectName, e towpath.EnvironmentName, limit int) ([]towpath.Run, error)

	FindCandidates(ctx context.Context, p towpath.ProjectName, name string, limit int) ([]towpath.Candidate, error)
	Candidate(ctx context.Context, id towpath.CandidateID) (towpath.Candidate, error)
	Collected(ctx context.Context, p towpath.ProjectName, d towpath.Digest) (bool, error)
	Quarantine(ctx context.Context, p towpath.ProjectName, d towpath.Digest) (*towpath.Quarantine, error)

	InsertDeployment(ctx context.Context, d towpath.Deployment) error
	Deployment(ctx context.Context, id towpath.DeploymentID) (towpath.Deployment, error)
	LockDeployment(ctx context.Context, id towpath.DeploymentID) (towpath.Deployment, error)
	SaveDeployment(ctx context.Context, d towpath.Deployment) error
	Deployments(ctx context.Context, f Filter, limit int) ([]towpath.Deployment, error)
	// Asking lists every environment, with whether what is deployed to it waits for a
	// person.
	Asking(ctx context.Context) ([]Asking, error)

	InsertOperation(ctx context.Context, op towpath.Operation) (bool, error)
	LockOperation(ctx context.Context, id towpath.OperationID) (towpath.Operation, error)
	SaveOperation(ctx context.Context, op towpath.Operation) error
	OperationsOf(ctx context.Context, id towpath.DeploymentID) ([]towpath.Operation, error)
	VerificationOperations(ctx context.Context, id towpath.PromotionID) ([]towpath.Operation, error)
	// OpenVerifications lists the operations of verifications on a target that have
	// not ended.
	OpenVerifications(ctx context.Context, t towpath.Target) ([]towpath.Operation, error)
	Claimable(ctx context.Context, place towpath.PlaceName, within access.Scope, session string, now time.Time, limit int) ([]towpath.Operation, error)
	// OpenOperations lists the operations of places that are pending or running, and
	// in whose records a text stands anywhere. Served lists the places of agents.
	OpenOperations(ctx context.Context, places []towpath.PlaceName, text string) ([]towpath.Operation, error)
	Served(ctx context.Context) ([]towpath.PlaceName, error)
	// ReleasesOf lists the releases of all projects whose content a blob is.
	ReleasesOf(ctx context.Context, content towpath.Digest) ([]towpath.Release, error)
	Leased(ctx context.Context, place towpath.PlaceName, session string) ([]towpath.Operation, error)

	// NextFence raises and returns the fence of a target, at least to floor. When
	// there is no higher one it is KindExhausted, and the transaction goes on.
	NextFence(ctx context.Context, t towpath.Target, floor int64) (int64, error)
	Running(ctx context.Context, p towpath.ProjectName, e towpath.EnvironmentName) ([]rollout.Running, error)
	SaveRunning(ctx context.Context, t towpath.Target, r rollout.Running) error
	SaveObservation(ctx context.Context, o towpath.Observation) error
	Placed(ctx context.Context, place towpath.PlaceName) ([]Placed, error)
	LockDrift(ctx context.Context, t towpath.Target) (towpath.Drift, error)
	Drifts(ctx context.Context, p towpath.ProjectName, e towpath.EnvironmentName) ([]towpath.Drift, error)
	SaveDrift(ctx context.Context, d towpath.Drift) error
	Freezes(ctx context.Context, p towpath.ProjectName) ([]towpath.Freeze, error)
	Session(ctx context.Context, place towpath.PlaceName) (Session, bool, error)
	AgentsAway(ctx context.Context, id towpath.DeploymentID, since time.Time) ([]towpath.AgentAway, error)
	SaveSession(ctx context.Context, s Session) error
	TouchSession(ctx context.Context, session string, at time.Time) (towpath.PlaceName, bool, error)

	// InsertTrafficCount keeps a count of a deployment's component; one that was
	// received at the same moment stays. TrafficCountSpan is when the first one was
	// received, and the last one; both zero when there is none.
	InsertTrafficCount(ctx context.Context, id towpath.DeploymentID, c towpath.TrafficCount) error
	TrafficCountSpan(ctx context.Context, id towpath.DeploymentID, c towpath.ComponentName) (first time.Time, last towpath.TrafficCount, err error)
	// ForgetTrafficCounts gives up counts that were received before a time.
	ForgetTrafficCounts(ctx context.Context, before time.Time) error
	TrafficCounts(ctx context.Context, id towpath.DeploymentID, c towpath.ComponentName) ([]towpath.TrafficCount, error)

	// InsertMeasurement and the three below are the same for what metric sources
	// said.
	InsertMeasurement(ctx context.Context, id towpath.DeploymentID, c towpath.ComponentName, m towpath.Measurement) error
	MeasurementSpan(ctx context.Context, id towpath.DeploymentID, c towpath.ComponentName) (first, last time.Time, err error)
	ForgetMeasurements(ctx context.Context, before time.Time) error
	Measurements(ctx context.Context, id towpath.DeploymentID, c towpath.ComponentName) ([]towpath.Measurement, error)
	// EvidenceSize is how much was counted and measured of a deployment's component.
	EvidenceSize(ctx context.Context, id towpath.DeploymentID, c towpath.ComponentName) (EvidenceSize, error)

	// Alert is what is known of an alert that an environment was told of.
	Alert(ctx context.Context, p towpath.ProjectName, e towpath.EnvironmentName, fingerprint string, starts time.Time) (a towpath.AlertRecord, known bool, err error)
	SaveAlert(ctx context.Context, a towpath.AlertRecord) error
	// CountAlerts counts those that were saved since a time, ForgetAlerts gives up
	// those of all environments that were saved before one.
	CountAlerts(ctx context.Context, p towpath.ProjectName, e towpath.EnvironmentName, since time.Time) (int, error)
	ForgetAlerts(ctx context.Context, before time.Time) error

	// SaveExperiment keeps what an experiment has seen, once. Experiments are the
	// deployments of those that were kept, newest first.
	SaveExperiment(ctx context.Context, d towpath.Deployment, e experiment.Evidence, at time.Time) error
	Experiment(ctx context.Context, id towpath.DeploymentID) (experiment.Evidence, bool, error)
	Experiments(ctx context.Context, p towpath.ProjectName, e towpath.EnvironmentName, limit int) ([]towpath.DeploymentID, error)
	// ForgetExperiments gives up what all but the newest experiments of an
	// environment have seen.
	ForgetExperiments(ctx context.Context, p towpath.ProjectName, e towpath.EnvironmentName, keep int) error

	// WakeReplications has the places of a project looked at: there may be
	// something to copy.
	WakeReplications(ctx context.Context, p towpath.ProjectName, now time.Time) error

	InsertRefMove(ctx context.Context, m towpath.RefMove) error
}

// Contents reads what a release holds.
type Contents interface {
	Content(ctx context.Context, p towpath.ProjectName, d towpath.Digest) (*towpath.ReleaseContent, error)
}

// Signer signs authorisations with the ledger's key.
type Signer interface {
	Authorise(a towpath.Authorisation) (string, error)
	// Bundles are those that an authorisation of ours names, as evidence or as
	// signatures; none when it can't be read.
	Bundles(signed string) []towpath.Digest
}

// Config says how the service works.
type Config struct {
	Now   func() time.Time
	Lease time.Duration // of an operation; default 15 s
	Epoch int64         // of the database; grows with every restore
	Drift drift.Limits
	Log   *slog.Logger
	// Samples keeps the metrics that agents push; nil: nobody does.
	Samples Samples
	// Claimable is called after a commit that made operations of a place
	// claimable, so that its waiting agent looks at once; it must not block.
	Claimable func(towpath.PlaceName)
	// Recovered is called after a deployment went back by itself, with how long
	// that took to be found out, and then to be done; nil: nobody asks.
	Recovered func(detect, restore time.Duration)
}

// Service is the use case.
type Service struct {
	cfg      Config
	store    Store
	contents Contents
	signer   Signer
	metrics  Metrics
	asking   chan struct{} // a slot for each rollout that is measured
	up       atomic.Int64  // when it first looked at a deployment, microseconds
	reports  reports
}

// New makes the service.
func New(cfg Config, store Store, contents Contents, signer Signer, metrics Metrics) *Service {
	if cfg.Lease <= 0 {
		cfg.Lease = 15 * time.Second
	}
	if cfg.Claimable == nil {
		cfg.Claimable = func(towpath.PlaceName) {}
	}
	cfg.Drift = cfg.Drift.WithDefaults()
	return &Service{cfg: cfg, store: store, contents: contents, signer: signer, metrics: metrics, asking: make(chan struct{}, maxAsked)}
}

func environmentKey(p towpath.ProjectName, e towpath.EnvironmentName) string {
	return string(p) + "/" + string(e)
}
