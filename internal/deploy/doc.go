// Package deploy carries deployments out: it issues operations to agents,
// takes their results, moves deployments from phase to phase by the decisions
// of package rollout, and rolls back. It owns what an environment runs. It must
// not know how a promotion came about, nor what a kind of component is. Start
// reading at Service.Reconcile; rollback.go is the way back.
package deploy
