package api

import (
	"time"

	"github.com/towpath/towpath/internal/replication"
	"github.com/towpath/towpath/internal/towpath"
)

// PostReplication has releases copied to another registry.
type PostReplication struct {
	Name      towpath.ReplicationName `json:"name" doc:"of the rule, as in eu-west"`
	To        string                  `json:"to" doc:"repository, as in registry.example/shop"`
	On        towpath.EnvironmentName `json:"on,omitempty" doc:"only what this environment runs; default: every release, when it is published"`
	Account   towpath.CloudAccount    `json:"account,omitempty" doc:"only what the environments of this account run, by the rules in force there, also of those that come later"`
	Region    towpath.Region          `json:"region,omitempty" doc:"only what the environments of this region run; with account: of both"`
	PlainHTTP bool                    `json:"plainHTTP,omitempty" doc:"the registry has no TLS"`
	Place     *Place                  `json:"place,omitempty" doc:"the releases live there: their layers need not be kept here"`
}

// Place says how much of what lives in another registry is kept here.
type Place struct {
	KeepSeconds int64 `json:"keepSeconds" minimum:"0" maximum:"3153600000" doc:"how long a layer stays here after it came"`
	CacheBytes  int64 `json:"cacheBytes,omitempty" minimum:"0" doc:"the most that such layers have here together; 0: any"`
}

// Rule is what is asked for, as a rule.
func (p *Place) Rule() *towpath.PlaceRule {
	if p == nil {
		return nil
	}
	return &towpath.PlaceRule{Keep: time.Duration(p.KeepSeconds) * time.Second, Cache: p.CacheBytes}
}

// Replications are the rules of a project, and how far each place is.
type Replications struct {
	Items []replication.Status `json:"items"`
}
