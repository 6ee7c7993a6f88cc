package towpath

import "time"

// Role is what an account may do, in one environment or in all.
type Role string

// The roles. Each is granted by itself: an admin who shall approve needs
// RoleApprover too.
const (
	RoleViewer   Role = "viewer"
	RoleReleaser Role = "releaser"
	RolePromoter Role = "promoter"
	RoleApprover Role = "approver"
	RoleOperator Role = "operator"
	RoleAdmin    Role = "admin"
	RoleAgent    Role = "agent"   // of a place; granted to agents' tokens only
	RoleAlerter  Role = "alerter" // of an alert manager's token: it says what hurts, and reads nothing
)

// Roles lists every role.
func Roles() []Role {
	return []Role{RoleViewer, RoleReleaser, RolePromoter, RoleApprover, RoleOperator, RoleAdmin, RoleAgent, RoleAlerter}
}

// Account is a person or a machine.
type Account struct {
	Name      AccountName `json:"name"`
	Emails    []string    `json:"emails,omitempty"` // verified commit identities, lower case
	Grants    []Grant     `json:"grants,omitempty"`
	CreatedAt time.Time   `json:"createdAt"`
	Disabled  bool        `json:"disabled,omitempty"`
}

// Grant gives a role. An empty Project or Environment means all of them.
type Grant struct {
	Role        Role            `json:"role"`
	Project     ProjectName     `json:"project,omitempty"`
	Environment EnvironmentName `json:"environment,omitempty"`
	Place       PlaceName       `json:"place,omitempty"` // of RoleAgent
}

// Token is a bearer credential of an account. Only its hash is stored.
type Token struct {
	ID        TokenID     `json:"id"`
	Account   AccountName `json:"account"`
	Name      string      `json:"name"`
	CreatedAt time.Time   `json:"createdAt"`
	ExpiresAt time.Time   `json:"expiresAt,omitzero"` // zero: never
	UsedAt    time.Time   `json:"usedAt,omitzero"`
	Revoked   bool        `json:"revoked,omitempty"`
}

// Actor is who makes a request: an authenticated account.
type Actor struct {
	Account   AccountName
	Grants    []Grant
	Token     TokenID
	RequestID string
}

// System is the actor of what Towpath does by itself.
func System() Actor { return Actor{Account: "towpath"} }
