package query

import (
	"context"

	"github.com/zerotouch-dps/dps"
	"github.com/zerotouch-dps/dps/enrollment"
	"github.com/zerotouch-dps/dps/internal/keyring"
	"github.com/zerotouch-dps/dps/scope"
)

const webhookColumns = `host, settings, sealed, etag, created, updated`

const (
	selectWebhooks = `select ` + webhookColumns + ` from webhook where scope_key = $1 order by host`
	selectWebhook  = `select ` + webhookColumns + ` from webhook where scope_key = $1 and host = $2`
	upsertWebhook  = `insert into webhook (scope_key, ` + webhookColumns + `) values ($1, $2, $3, $4, $5, $6, $7)
		on conflict (scope_key, host) do update set settings = excluded.settings, sealed = excluded.sealed,
		etag = excluded.etag, created = excluded.created, updated = excluded.updated`
	countWebhooks  = `select count(*) from webhook where scope_key = $1`
	deleteWebhook  = `delete from webhook where scope_key = $1 and host = $2`
	deleteWebhooks = `delete from webhook where scope_key = $1`
)

// webhookSettings is the stored form of a scope.Webhook, without what has columns of its
// own.
type webhookSettings struct {
	TrustedCAs  string                      `json:"trustedCAs,omitempty"`
	Certificate string                      `json:"certificate,omitempty"`
	AllowHTTP   bool                        `json:"allowHttp,omitempty"`
	Fallback    enrollment.AllocationPolicy `json:"fallback,omitempty"`
}

// webhookSecrets are sealed as a whole.
type webhookSecrets struct {
	Secret string `json:"secret,omitempty"`
	Key    string `json:"key,omitempty"`
}

type webhookRow struct {
	host, settings, etag string
	sealed               []byte
	created, updated     int64
}

func (r *webhookRow) dest() []any {
	return []any{&r.host, &r.settings, &r.sealed, &r.etag, &r.created, &r.updated}
}

func webhookPlace(id dps.IDScope, host string) keyring.Place {
	return keyring.Place{Scope: id.Fold(), Table: "webhook", ID: host, Column: "secrets"}
}

func (c Codec) webhook(id dps.IDScope, r *webhookRow) (scope.Webhook, error) {
	var s webhookSettings
	if err := decode("webhook", r.settings, &s); err != nil {
		return scope.Webhook{}, err
	}
	var secrets webhookSecrets
	if err := c.open(webhookPlace(id, r.host), r.sealed, &secrets); err != nil {
		return scope.Webhook{}, err
	}
	return scope.Webhook{
		Host: r.host, Secret: dps.NewSecret(secrets.Secret), TrustedCAs: s.TrustedCAs, Certificate: s.Certificate,
		Key: dps.NewSecret(secrets.Key), AllowHTTP: s.AllowHTTP, Fallback: s.Fallback,
		ETag: dps.ETag(r.etag), Created: Time(r.created), Updated: Time(r.updated),
	}, nil
}

func (c Codec) webhookValues(id dps.IDScope, w *scope.Webhook) ([]any, error) {
	sealed, err := c.seal(webhookPlace(id, w.Host), webhookSecrets{Secret: w.Secret.Reveal(), Key: w.Key.Reveal()})
	if err != nil {
		return nil, err
	}
	s := webhookSettings{TrustedCAs: w.TrustedCAs, Certificate: w.Certificate, AllowHTTP: w.AllowHTTP, Fallback: w.Fallback}
	return []any{id.Fold(), w.Host, encode(s), sealed, string(w.ETag), Micros(w.Created), Micros(w.Updated)}, nil
}

// Webhooks implements [scope.Store].
func (s *Scopes) Webhooks(ctx context.Context, id dps.IDScope) ([]scope.Webhook, error) {
	var out []scope.Webhook
	err := s.DB.Read(ctx, func(tx Tx) (err error) {
		out, err = s.webhooks(ctx, tx, id)
		return err
	})
	return out, during("list webhooks", err)
}

func (s *Scopes) webhooks(ctx context.Context, tx Tx, id dps.IDScope) ([]scope.Webhook, error) {
	return all(ctx, tx, selectWebhooks, []any{id.Fold()}, func(scan ScanFunc) (scope.Webhook, error) {
		var row webhookRow
		if err := scan(row.dest()...); err != nil {
			return scope.Webhook{}, err
		}
		return s.Codec.webhook(id, &row)
	})
}

func (s *Scopes) webhookRow(ctx context.Context, tx Tx, id dps.IDScope, host string) (webhookRow, bool, error) {
	var row webhookRow
	found, err := one(ctx, tx, selectWebhook, []any{id.Fold(), host}, func(scan ScanFunc) error { return scan(row.dest()...) })
	return row, found, err
}

// PutWebhook implements [scope.Store].
func (s *Scopes) PutWebhook(ctx context.Context, id dps.IDScope, w scope.Webhook, p enrollment.Precondition) (scope.Webhook, error) {
	err := s.DB.Write(ctx, func(tx Tx) error {
		if err := bumpVersion(ctx, tx, id); err != nil { // and so locks the scope until the count is committed
			return err
		}
		old, exists, err := s.webhookRow(ctx, tx, id, w.Host)
		if err != nil {
			return err
		}
		taken := dps.Errorf(dps.AlreadyExists, "there is a webhook %q already", w.Host)
		if err := expect(p, exists, dps.ETag(old.etag), taken); err != nil {
			return err
		}
		st, err := s.Codec.newStamp(w.Updated, old.created)
		if err != nil {
			return err
		}
		w.ETag, w.Created, w.Updated = st.etag, st.created, st.updated
		values, err := s.Codec.webhookValues(id, &w)
		if err != nil {
			return err
		}
		if _, err := tx.Exec(ctx, upsertWebhook, values...); err != nil {
			return err
		}
		return checkWebhooks(ctx, tx, id)
	})
	if err != nil {
		return scope.Webhook{}, during("write webhook", err)
	}
	return w, nil
}

func checkWebhooks(ctx context.Context, tx Tx, id dps.IDScope) error {
	var n int64
	_, err := one(ctx, tx, countWebhooks, []any{id.Fold()}, func(scan ScanFunc) error { return scan(&n) })
	if err == nil && n > scope.MaxWebhooks {
		return dps.Errorf(dps.QuotaReached, "a scope takes %d webhooks", scope.MaxWebhooks)
	}
	return err
}

// DeleteWebhook implements [scope.Store].
func (s *Scopes) DeleteWebhook(ctx context.Context, id dps.IDScope, host string, p enrollment.Precondition) error {
	return during("delete webhook", s.DB.Write(ctx, func(tx Tx) error {
		if err := bumpVersion(ctx, tx, id); err != nil {
			return err
		}
		old, exists, err := s.webhookRow(ctx, tx, id, host)
		if err != nil {
			return err
		}
		if !exists {
			return dps.Errorf(dps.NotFound, "there is no webhook %q in this scope", host)
		}
		if err := expect(enrollment.Precondition{IfMatch: p.IfMatch}, true, dps.ETag(old.etag), nil); err != nil {
			return err
		}
		_, err = tx.Exec(ctx, deleteWebhook, id.Fold(), host)
		return err
	}))
}
