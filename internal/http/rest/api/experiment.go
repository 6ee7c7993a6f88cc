package api

import "github.com/towpath/towpath/internal/towpath"

// StartExperiment has a release run beside what an environment runs.
type StartExperiment struct {
	Release    string             `json:"release" minLength:"1" doc:"digest, version, candidate, commit, or an unambiguous prefix of one"`
	Experiment towpath.Experiment `json:"experiment"`
}
