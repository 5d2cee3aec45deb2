// Package access keeps who may come in and whose names are whose: named keys, of which it knows only a hash,
// and the instance ids that belong to a credential. What one process changes here, the others see by a
// version that each change advances, so that to ask whether anything is new costs one read of one row.
package access
