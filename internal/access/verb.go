package access

import "github.com/towpath/towpath/internal/towpath"

// Verb is something an actor may be allowed to do.
type Verb string

// The verbs.
const (
	ProjectRead   Verb = "project.read"
	ProjectCreate Verb = "project.create"
	ProjectManage Verb = "project.manage" // its repository and settings, and its removal

	ReleaseRead    Verb = "release.read"
	ReleasePublish Verb = "release.publish"
	Quarantine     Verb = "quarantine"     // and its lifting
	QuarantineAll  Verb = "quarantine.all" // of a material in every project, and its lifting

	EnvironmentRead  Verb = "environment.read" // what runs, promotions, deployments, verdicts
	PlanRequest      Verb = "plan.request"     // judge and plan; changes nothing
	PromotionRequest Verb = "promotion.request"
	PromotionApprove Verb = "promotion.approve" // or reject
	PromotionCancel  Verb = "promotion.cancel"
	Rollback         Verb = "rollback"
	Repair           Verb = "repair" // replace what runs by the same again
	Hold             Verb = "hold"   // and its lifting
	Freeze           Verb = "freeze" // and its lifting
	CheckPost        Verb = "check.post"
	AlertPost        Verb = "alert.post" // say what hurts: what was just deployed may go back for it

	EnvironmentVerify Verb = "environment.verify" // run its verification jobs again
	EnvironmentOpen   Verb = "environment.open"   // let it run in its place, by the rules that a release proposes

	AuditRead     Verb = "audit.read"
	TokenManage   Verb = "token.manage" // one's own are free to everybody
	AccountRead   Verb = "account.read"
	AccountManage Verb = "account.manage" // accounts, grants and commit identities
	ServerManage  Verb = "server.manage"  // backup, collection of garbage, configuration

	TrustRead   Verb = "trust.read"
	TrustManage Verb = "trust.manage" // add, expire and revoke trusted keys

	RegistryPull Verb = "registry.pull"
	RegistryPush Verb = "registry.push"

	AgentWork Verb = "agent.work" // claim and report operations, read their files
)

// people are the roles that persons and their machines hold. Each of them may
// read: a role that can't see what it decides about is of no use.
func people() []towpath.Role {
	return []towpath.Role{
		towpath.RoleViewer, towpath.RoleReleaser, towpath.RolePromoter,
		towpath.RoleApprover, towpath.RoleOperator, towpath.RoleAdmin,
	}
}

// rule is one row of the table.
type rule struct {
	verb  Verb
	does  string // completes "ana may not …"
	roles []towpath.Role
	// anyEnvironment: the subject belongs to a project and to no environment,
	// and a role in any environment of the project is enough.
	anyEnvironment bool
	// anyProject: a subject without a project asks only whether the actor may
	// do this anywhere; each single thing is checked with its project.
	anyProject bool
	// system: Towpath itself does this, with no account's authority.
	system bool
}

// table is the whole policy. A role that is not in a row may not do it; roles
// include nothing of each other but reading.
func table() []rule {
	return []rule{
		{verb: ProjectRead, does: "see the project", roles: people(), anyEnvironment: true, system: true},
		{verb: ProjectCreate, does: "create projects", roles: roles(towpath.RoleAdmin)},
		{verb: ProjectManage, does: "change the project", roles: roles(towpath.RoleAdmin)},

		{verb: ReleaseRead, does: "read releases", roles: people(), anyEnvironment: true, system: true},
		{verb: ReleasePublish, does: "publish releases", roles: roles(towpath.RoleReleaser)},
		{verb: Quarantine, does: "quarantine releases", system: true, roles: roles(towpath.RoleOperator, towpath.RoleAdmin)},
		// What is done to every project at once takes who answers for all of them.
		{verb: QuarantineAll, does: "quarantine in every project, or lift that", roles: roles(towpath.RoleAdmin)},

		{verb: EnvironmentRead, does: "see the environment", roles: people(), system: true},
		{verb: PlanRequest, does: "plan promotions", system: true, roles: roles(towpath.RoleReleaser, towpath.RolePromoter, towpath.RoleApprover, towpath.RoleOperator)},
		{verb: PromotionRequest, does: "request promotions", system: true, roles: roles(towpath.RolePromoter)},
		// An environment's rules say whose approval counts, RoleApprover's unless
		// they name others; whoever they can name must be able to give it.
		{verb: PromotionApprove, does: "approve or reject promotions", roles: roles(towpath.RoleApprover, towpath.RoleOperator, towpath.RoleAdmin)},
		{verb: PromotionCancel, does: "cancel promotions", system: true, roles: roles(towpath.RolePromoter, towpath.RoleOperator)},
		// Who may go forward may go back: a rollback must not wait for somebody else.
		{verb: Rollback, does: "roll back", system: true, roles: roles(towpath.RolePromoter, towpath.RoleOperator)},
		{verb: Repair, does: "repair what runs", system: true, roles: roles(towpath.RolePromoter, towpath.RoleOperator)},
		{verb: Hold, does: "hold or release promotions", system: true, roles: roles(towpath.RolePromoter, towpath.RoleOperator)},
		{verb: Freeze, does: "freeze promotions", roles: roles(towpath.RoleOperator, towpath.RoleAdmin)},
		{verb: EnvironmentVerify, does: "verify what runs", system: true, roles: roles(towpath.RolePromoter, towpath.RoleOperator)},
		// Whoever may publish proposes environments. Where they run, and by which rules,
		// is for who answers for the project, or for the place.
		{verb: EnvironmentOpen, does: "open environments", roles: roles(towpath.RoleAdmin)},
		{verb: CheckPost, does: "post checks", roles: roles(towpath.RoleReleaser, towpath.RoleOperator)},

		// It rolls back, but only what was just deployed, and by the rules of the
		// environment: less than whoever may roll back can do.
		{verb: AlertPost, does: "post alerts", roles: roles(towpath.RoleAlerter, towpath.RolePromoter, towpath.RoleOperator)},

		{verb: AuditRead, does: "read the ledger", roles: people(), system: true},
		{verb: TokenManage, does: "manage the tokens of others", roles: roles(towpath.RoleAdmin)},
		{verb: AccountRead, does: "see accounts", roles: people(), anyEnvironment: true, anyProject: true, system: true},
		// Commit identities decide who is an author, hence who may approve: nobody
		// edits their own.
		{verb: AccountManage, does: "manage accounts", roles: roles(towpath.RoleAdmin)},
		{verb: ServerManage, does: "manage the server", roles: roles(towpath.RoleAdmin), system: true},

		{verb: TrustRead, does: "see trusted keys", roles: people(), anyEnvironment: true, anyProject: true},
		{verb: TrustManage, does: "change trusted keys", roles: roles(towpath.RoleAdmin)},

		{verb: RegistryPull, does: "pull from the registry", roles: people(), anyEnvironment: true, system: true},
		{verb: RegistryPush, does: "push to the registry", roles: roles(towpath.RoleReleaser), system: true}, // what it mirrors

		{verb: AgentWork, does: "work as an agent", roles: roles(towpath.RoleAgent), anyEnvironment: true, anyProject: true},
	}
}

func roles(r ...towpath.Role) []towpath.Role { return r }

// Verbs lists every verb in the order of the table.
func Verbs() []Verb {
	var out []Verb
	for _, r := range table() {
		out = append(out, r.verb)
	}
	return out
}

// Roles lists the roles that may do a verb; none for an unknown verb.
func Roles(v Verb) []towpath.Role {
	r, _ := find(v)
	return r.roles
}

func find(v Verb) (rule, bool) {
	for _, r := range table() {
		if r.verb == v {
			return r, true
		}
	}
	return rule{}, false
}
