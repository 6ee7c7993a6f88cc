package cli

import (
	"time"

	"github.com/spf13/cobra"

	"github.com/towpath/towpath/internal/http/rest/api"
	"github.com/towpath/towpath/internal/towpath"
)

func newToken(s *session) *cobra.Command {
	return s.group("token", "Bearer tokens", newTokenCreate(s), newTokenList(s), newTokenRevoke(s))
}

func newTokenCreate(s *session) *cobra.Command {
	var account, file string
	var ttl time.Duration
	cmd := &cobra.Command{
		Use: "create NAME", Short: "Create a token; its secret is shown now and never again", Args: positional(1, 1),
		Long:    "Creates a token. Its secret is printed, or with --secret-file written into a new file that only its owner can read, and shown nowhere.",
		Example: "  towpath token create ci --account robot --ttl 720h\n  towpath token create ci --account robot --secret-file ci.token",
		RunE: func(cmd *cobra.Command, args []string) error {
			c, err := s.client()
			if err != nil {
				return err
			}
			if cmd.Flags().Changed("ttl") && ttl < time.Second {
				return usageError(cmd, towpath.E(towpath.KindInvalid, "", "--ttl is how long the token is valid, and %s is no time at all", ttl))
			}
			keep, err := s.newSecretFile(file)
			if err != nil {
				return err
			}
			t, err := c.CreateToken(cmd.Context(), api.CreateToken{
				Account: towpath.AccountName(account), Name: args[0], TTLSeconds: int64(ttl / time.Second),
			})
			if err != nil {
				keep.drop()
				return listed(err, "towpath account list")
			}
			if err := keep.write(t.Secret); err != nil {
				return towpath.E(towpath.KindUnavailable, "", "the secret of the token %s could not be written: %v", t.ID, err).
					WithHint("`towpath token revoke %s`, then make another one", t.ID)
			}
			if keep != nil {
				t.Secret = ""
			}
			if err := s.print(result{data: t, names: []string{string(t.ID)}, show: func(p *page) {
				p.field("token", string(t.ID))
				p.field("account", string(t.Account))
				p.field("expires", at(t.ExpiresAt))
				if keep == nil {
					p.field("secret", t.Secret)
				}
			}}); err != nil {
				return err
			}
			if keep != nil {
				s.say("its secret is in %s and nowhere else", keep.Name())
				return nil
			}
			s.say("keep the secret now: it is not stored")
			return nil
		},
	}
	cmd.Flags().StringVar(&account, "account", "", "whose (default: your own)")
	cmd.Flags().StringVar(&file, "secret-file", "", "new file for the secret, alone, instead of printing it")
	cmd.Flags().DurationVar(&ttl, "ttl", 0, "how long it is valid; one that no admin makes ends with the token that it is made with (default 2160h, 90 days)")
	return cmd
}

func newTokenList(s *session) *cobra.Command {
	var account string
	cmd := &cobra.Command{
		Use: "list", Aliases: []string{"ls"}, Short: "List an account's tokens, without their secrets", Args: positional(0, 0),
		RunE: func(cmd *cobra.Command, _ []string) error {
			c, err := s.client()
			if err != nil {
				return err
			}
			items, err := c.Tokens(cmd.Context(), towpath.AccountName(account))
			if err != nil {
				return listed(err, "towpath account list")
			}
			r := result{data: api.Tokens{Items: items}, none: "the account has no token"}
			r.table.columns = []string{"TOKEN", "ACCOUNT", "NAME", "AGE", "USED", "EXPIRES", "REVOKED"}
			p := page{now: s.apps.Now()}
			for _, t := range items {
				revoked := dash
				if t.Revoked {
					revoked = "yes"
				}
				r.names = append(r.names, string(t.ID))
				r.table.add(string(t.ID), string(t.Account), t.Name, p.age(t.CreatedAt), p.age(t.UsedAt), orDash(at(t.ExpiresAt)), revoked)
			}
			return s.print(r)
		},
	}
	cmd.Flags().StringVar(&account, "account", "", "whose (default: your own)")
	return cmd
}

func newTokenRevoke(s *session) *cobra.Command {
	return &cobra.Command{
		Use: "revoke TOKEN", Short: "Revoke a token by its ID", Args: positional(1, 1),
		RunE: func(cmd *cobra.Command, args []string) error {
			c, err := s.client()
			if err != nil {
				return err
			}
			if err := c.RevokeToken(cmd.Context(), towpath.TokenID(args[0])); err != nil {
				return listed(err, "towpath token list --account NAME")
			}
			return s.done("token", args[0], "revoked")
		},
	}
}
