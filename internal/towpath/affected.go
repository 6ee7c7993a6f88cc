package towpath

// Affected is what the quarantine of a material or a key reaches, as far as who
// asks may see it. What was quarantined for something else already is not counted.
type Affected struct {
	Releases     int                   `json:"releases"`     // that are quarantined for it
	Projects     int                   `json:"projects"`     // whose these are
	Environments []AffectedEnvironment `json:"environments"` // that run one of them, by project and name
	// Looking: not every release has been looked at; there may be more.
	Looking bool `json:"looking,omitempty"`
}

// AffectedEnvironment runs a release that is quarantined.
type AffectedEnvironment struct {
	Project     ProjectName     `json:"project"`
	Environment EnvironmentName `json:"environment"`
	Release     Digest          `json:"release"`
}
