package api

import (
	"github.com/towpath/towpath/internal/replication"
	"github.com/towpath/towpath/internal/towpath"
)

// PostReplication has releases copied to another registry.
type PostReplication struct {
	Name      towpath.ReplicationName `json:"name" doc:"of the rule, as in eu-west"`
	To        string                  `json:"to" doc:"repository, as in registry.example/shop"`
	On        towpath.EnvironmentName `json:"on,omitempty" doc:"only what this environment runs; default: every release, when it is published"`
	PlainHTTP bool                    `json:"plainHTTP,omitempty" doc:"the registry has no TLS"`
}

// Replications are the rules of a project, and how far each place is.
type Replications struct {
	Items []replication.Status `json:"items"`
}
