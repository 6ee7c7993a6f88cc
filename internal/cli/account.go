package cli

import (
	"context"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/towpath/towpath/internal/didyoumean"
	"github.com/towpath/towpath/internal/http/rest/api"
	"github.com/towpath/towpath/internal/http/rest/client"
	"github.com/towpath/towpath/internal/towpath"
)

func newAccount(s *session) *cobra.Command {
	return s.group("account", "Accounts, roles and commit identities", newAccountList(s), newAccountCreate(s),
		newAccountGrant(s), newAccountRevoke(s), s.group("identity", "Commit identities of accounts", newIdentityAdd(s)))
}

func newAccountList(s *session) *cobra.Command {
	return &cobra.Command{
		Use: "list", Aliases: []string{"ls"}, Short: "List accounts", Args: positional(0, 0),
		RunE: func(cmd *cobra.Command, _ []string) error {
			c, err := s.client()
			if err != nil {
				return err
			}
			items, err := c.Accounts(cmd.Context())
			if err != nil {
				return err
			}
			r := result{data: api.Accounts{Items: items}, table: s.accountTable(items)}
			for _, a := range items {
				r.names = append(r.names, string(a.Name))
			}
			return s.print(r)
		},
	}
}

func newAccountCreate(s *session) *cobra.Command {
	var emails []string
	cmd := &cobra.Command{
		Use: "create NAME", Short: "Create an account", Args: positional(1, 1),
		RunE: func(cmd *cobra.Command, args []string) error {
			return s.changeAccount(func(c *client.Client) (towpath.Account, error) {
				return c.CreateAccount(cmd.Context(), api.CreateAccount{Name: towpath.AccountName(args[0]), Emails: emails})
			})
		},
	}
	cmd.Flags().StringSliceVar(&emails, "email", nil, "verified commit identity; may be given more than once")
	return cmd
}

func newIdentityAdd(s *session) *cobra.Command {
	return &cobra.Command{
		Use: "add ACCOUNT EMAIL", Short: "Say that commits by this address are this account's", Args: positional(2, 2),
		RunE: func(cmd *cobra.Command, args []string) error {
			return s.changeAccount(func(c *client.Client) (towpath.Account, error) {
				return c.AddIdentity(cmd.Context(), towpath.AccountName(args[0]), args[1])
			})
		},
	}
}

type grantCall func(*client.Client, context.Context, towpath.AccountName, towpath.Grant) (towpath.Account, error)

func newAccountGrant(s *session) *cobra.Command {
	return s.newGrantCommand("grant", "Give an account a role", (*client.Client).Grant)
}

func newAccountRevoke(s *session) *cobra.Command {
	return s.newGrantCommand("revoke", "Take a role from an account", (*client.Client).Revoke)
}

func (s *session) newGrantCommand(verb, short string, do grantCall) *cobra.Command {
	var in, place string
	cmd := &cobra.Command{
		Use: verb + " ACCOUNT ROLE [--in PROJECT[/ENV]]", Short: short, Args: positional(2, 2),
		Long:    "Roles are " + join(towpath.Roles()) + ". Each is granted by itself: an admin who shall approve needs approver too.",
		Example: "  towpath account " + verb + " ana approver --in shop/prod",
		RunE: func(cmd *cobra.Command, args []string) error {
			role := towpath.Role(args[1])
			if !slices.Contains(towpath.Roles(), role) {
				return towpath.E(towpath.KindInvalid, "", "%q is no role", role).WithHint("%s", didyoumean.Hint(args[1], towpath.Roles()))
			}
			project, env, _ := strings.Cut(in, "/")
			g := towpath.Grant{
				Role: role, Project: towpath.ProjectName(project), Environment: towpath.EnvironmentName(env), Place: towpath.PlaceName(place),
			}
			return s.changeAccount(func(c *client.Client) (towpath.Account, error) {
				a, err := do(c, cmd.Context(), towpath.AccountName(args[0]), g)
				if err == nil && verb == "grant" {
					s.warnScope(cmd.Context(), c, g)
				}
				return a, err
			})
		},
	}
	cmd.Flags().StringVar(&in, "in", "", "PROJECT or PROJECT/ENV (default: everywhere)")
	cmd.Flags().StringVar(&place, "place", "", "of the role agent: the place; of admin: whose environments it may open, and no more")
	return cmd
}

// warnScope tells of a role in what is not there: it is given, because a project
// may come later, but more often the name is misspelt.
func (s *session) warnScope(ctx context.Context, c *client.Client, g towpath.Grant) {
	if g.Project == "" {
		return
	}
	err := s.knownProject(ctx, c, g.Project)
	if err == nil && g.Environment != "" {
		err = s.knownEnvironment(ctx, c, g.Project, g.Environment)
	}
	if towpath.KindOf(err) == towpath.KindNotFound {
		message, hint, _ := describe(err)
		if hint != "" {
			hint = " (" + hint + ")"
		}
		s.say("%s %s; the role is given for when it is there%s", s.style.warn("warning:"), message, hint)
	}
}

// changeAccount makes a change and prints the account as it is then.
func (s *session) changeAccount(do func(*client.Client) (towpath.Account, error)) error {
	c, err := s.client()
	if err != nil {
		return err
	}
	a, err := do(c)
	if err != nil {
		return listed(err, "towpath account list")
	}
	return s.print(result{data: a, names: []string{string(a.Name)}, table: s.accountTable([]towpath.Account{a})})
}

func (s *session) accountTable(items []towpath.Account) table {
	p := page{now: s.apps.Now()}
	t := table{columns: []string{"ACCOUNT", "ROLES", "EMAILS", "AGE"}}
	for _, a := range items {
		var roles []string
		for _, g := range a.Grants {
			scope := string(g.Project)
			if g.Environment != "" {
				scope += "/" + string(g.Environment)
			}
			role := string(g.Role)
			if scope != "" {
				role += " in " + scope
			}
			if g.Place != "" {
				role += " at " + string(g.Place)
			}
			roles = append(roles, role)
		}
		name := string(a.Name)
		if a.Disabled {
			name += " (disabled)"
		}
		t.add(name, orDash(join(roles)), orDash(join(a.Emails)), p.age(a.CreatedAt))
	}
	return t
}
