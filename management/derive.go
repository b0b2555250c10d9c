package management

import (
	"context"
	"errors"

	"github.com/zerotouch-dps/dps"
	"github.com/zerotouch-dps/dps/attestation"
)

// groupKey is what a batch learned of a group whose keys it shall derive from.
type groupKey struct {
	key attestation.GroupKey
	err error
}

func (i *Import) hasMaster() bool {
	return !i.o.Master.Primary.IsZero() || !i.o.Master.Secondary.IsZero()
}

// groupKey reads the keys of a symmetric-key group. Errors: [dps.GroupNotFound],
// [dps.InvalidArgument].
func (i *Import) groupKey(ctx context.Context, group string) (attestation.GroupKey, error) {
	if err := dps.CheckID("deriveFrom", group); err != nil {
		return attestation.GroupKey{}, err
	}
	g, err := i.s.d.Enrollments.Group(ctx, i.scope, group)
	if err != nil {
		return attestation.GroupKey{}, err
	}
	key, ok := g.Mechanism.(attestation.GroupKey)
	if !ok {
		return attestation.GroupKey{}, dps.Invalid("deriveFrom", "mechanism", "names a group that has no symmetric keys")
	}
	return key, nil
}

// derive gives a symmetric-key row without keys those that its group, or the master key,
// has for it.
func (b *importBatch) derive(ctx context.Context, row ImportRow) (attestation.Mechanism, error) {
	own, symmetric := row.Entry.Mechanism.(attestation.SymmetricKey)
	given := symmetric && (!own.Primary.IsZero() || !own.Secondary.IsZero())
	if row.DeriveFrom != "" && (given || !symmetric) {
		return nil, dps.Invalid("deriveFrom", "exclusive", "is for attestation of type symmetricKey without keys")
	}
	if given || !symmetric {
		return row.Entry.Mechanism, nil
	}
	master, group := b.o.Master, first(row.DeriveFrom, b.o.DeriveFrom)
	switch {
	case group != "":
		known := b.group(ctx, group)
		if known.err != nil {
			return nil, known.err
		}
		master = known.key
	case !b.hasMaster():
		return own, nil
	}
	return derived(master, row.Entry.ID)
}

func (b *importBatch) group(ctx context.Context, name string) groupKey {
	folded := dps.FoldASCII(name)
	known, ok := b.groups[folded]
	if !ok {
		known.key, known.err = b.groupKey(ctx, name)
		b.groups[folded] = known
	}
	return known
}

// derived returns a device's keys; a slot that the master lacks stays empty.
func derived(master attestation.GroupKey, id dps.RegistrationID) (own attestation.SymmetricKey, err error) {
	for _, slot := range []struct {
		from dps.Secret
		to   *dps.Secret
	}{{master.Primary, &own.Primary}, {master.Secondary, &own.Secondary}} {
		if slot.from.IsZero() {
			continue
		}
		if *slot.to, err = attestation.DeriveDeviceKey(slot.from, string(id)); err != nil {
			return own, err
		}
	}
	return own, nil
}

// fatal reports whether an error is the store's rather than the row's.
func fatal(err error) bool {
	if err == nil {
		return false
	}
	coded, ok := errors.AsType[*dps.Error](err)
	return !ok || coded.Code == dps.Internal || coded.Code == dps.Unavailable
}

func first(texts ...string) string {
	for _, text := range texts {
		if text != "" {
			return text
		}
	}
	return ""
}
