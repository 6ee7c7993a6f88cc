package account

import (
	"time"

	"github.com/towpath/towpath/internal/towpath"
)

// NewToken is a token just made: the only moment at which its secret is known.
type NewToken struct {
	towpath.Token
	Secret string `json:"secret"`
}

// TokenRequest asks for a token.
type TokenRequest struct {
	Account towpath.AccountName // empty: the actor's own
	Name    string
	TTL     time.Duration // 0: 90 days, or as long as the token that it is made with
}
