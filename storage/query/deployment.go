package query

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"

	"github.com/zerotouch-dps/dps"
	"github.com/zerotouch-dps/dps/internal/keyring"
	"github.com/zerotouch-dps/dps/storage"
)

const (
	selectSetting = `select value from setting where name = $1`
	insertSetting = `insert into setting (name, value) values ($1, $2) on conflict (name) do nothing`
	upsertSetting = `insert into setting (name, value) values ($1, $2) on conflict (name) do update set value = excluded.value`
	insertPulse   = `insert into setting (name, value) values ('store/pulse', $1) on conflict (name) do nothing`
	deletePulse   = `delete from setting where name = 'store/pulse'`

	canaryName = "keyring/canary"
	canaryText = "dps"
)

// pulseSize is some pages, as a registration takes.
const pulseSize = 16 << 10 // bytes

// ErrKeyring is returned when a store is opened with a keyring that did not seal it.
var ErrKeyring = errors.New("the keyring does not open this store: give the keyring file that the store was made with")

// Deployment implements [storage.Deployment] over a back end's DB.
type Deployment struct {
	DB      DB
	Codec   Codec
	Dialect Dialect
	// Failed is set by the back end when a write fails that might work later.
	Failed *atomic.Bool
}

var _ storage.Deployment = (*Deployment)(nil)

// Setting implements [storage.Deployment].
func (d *Deployment) Setting(ctx context.Context, name string) ([]byte, error) {
	var value []byte
	err := d.DB.Read(ctx, func(tx Tx) error {
		_, err := one(ctx, tx, selectSetting, []any{name}, func(scan ScanFunc) error { return scan(&value) })
		return err
	})
	return value, during("read setting", err)
}

// PutSetting implements [storage.Deployment].
func (d *Deployment) PutSetting(ctx context.Context, name string, value []byte, onlyAbsent bool) (bool, error) {
	text := upsertSetting
	if onlyAbsent {
		text = insertSetting
	}
	if value == nil {
		value = []byte{}
	}
	var n int64
	err := d.DB.Write(ctx, func(tx Tx) (err error) {
		n, err = tx.Exec(ctx, text, name, value)
		return err
	})
	return n > 0, during("write setting", err)
}

// CheckKeyring opens the canary, which the first start seals. Errors: [ErrKeyring].
func (d *Deployment) CheckKeyring(ctx context.Context) error {
	at := keyring.Place{Table: "setting", ID: canaryName, Column: "value"}
	sealed, err := d.Codec.seal(at, canaryText)
	if err != nil {
		return err
	}
	if _, err := d.PutSetting(ctx, canaryName, sealed, true); err != nil {
		return err
	}
	if sealed, err = d.Setting(ctx, canaryName); err != nil {
		return err
	}
	var text string
	if err := d.Codec.open(at, sealed, &text); err != nil {
		return fmt.Errorf("%w (%w)", ErrKeyring, err)
	}
	return nil
}

// Ping implements the like-named method of [storage.Store]: it writes nothing but
// asks for what a write needs. After a write that failed it makes one, since all that a
// full disk refuses is to take more.
func (d *Deployment) Ping(ctx context.Context) error {
	failed := d.Failed.Swap(false)
	err := d.DB.Write(ctx, func(tx Tx) error {
		if failed {
			if _, err := tx.Exec(ctx, insertPulse, make([]byte, pulseSize)); err != nil {
				return err
			}
		}
		_, err := tx.Exec(ctx, deletePulse)
		return err
	})
	if err == nil {
		return nil
	}
	d.Failed.Store(true)
	if dps.Is(err, dps.Unavailable) {
		return err
	}
	return dps.Wrap(dps.Unavailable, err, "the store can't be written now")
}
