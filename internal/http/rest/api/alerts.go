package api

import "time"

// AlertGroup is what Alertmanager sends to a webhook (version 4), as far as
// anything of it is read. More fields may be there.
type AlertGroup struct {
	_       struct{} `additionalProperties:"true"`
	Version string   `json:"version" enum:"4,1" doc:"4, and 1 of Grafana"`
	Alerts  []Alert  `json:"alerts"`
}

// Alert is one alert of a group.
type Alert struct {
	_           struct{}          `additionalProperties:"true"`
	Status      string            `json:"status" doc:"firing, or resolved"`
	Labels      map[string]string `json:"labels"`
	Annotations map[string]string `json:"annotations,omitempty" doc:"summary is read"`
	StartsAt    time.Time         `json:"startsAt"`
	Fingerprint string            `json:"fingerprint,omitempty" doc:"hexadecimal; without it the labels tell alerts apart"`
}
