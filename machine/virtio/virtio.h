/* SPDX-License-Identifier: MIT */
/*
 * machine/virtio/virtio.h - virtio devices, kept apart from how a guest finds them.
 *
 *   1. Memory      guest memory as devices see it
 *   2. Queues      struct virtqueue: split rings (virtio 0.9.5 and 1.x, 2.6/2.7)
 *   3. Devices     ops, configuration, features
 *   4. Transports  the lguest device page (formats 1 and 2), PCI (virtio 1.0)
 *   5. Back ends   where blocks and frames come from and go to
 *
 * Everything in guest memory is the guest's to change at any time: it is read once, checked, then used.  A
 * queue whose ring makes no sense is broken: it stops until the device is reset, and says so in the log.
 */
#ifndef MACHINE_VIRTIO_VIRTIO_H
#define MACHINE_VIRTIO_VIRTIO_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* ---- 1. Memory ------------------------------------------------------------------------------ */

struct virtio_memory {
	void *user;
	/* Host address of [gpa, gpa+bytes), or NULL where not all of it is guest RAM.  bytes >= 1. */
	uint8_t *(*at)(void *user, uint64_t gpa, uint64_t bytes);
	/* We wrote there: decoded code and tracked tables must know. */
	void (*wrote)(void *user, uint64_t gpa, uint64_t bytes);
};

/* ---- 2. Queues ------------------------------------------------------------------------------ */

#define VIRTQUEUE_MAX 1024u    /* entries of one queue */
#define VIRTIO_SEGMENTS 256u   /* of one chain, indirect ones included: bounds the work of one request */
#define VIRTIO_CHAIN_BYTES (64u << 20) /* of one chain */

struct virtqueue {
	uint16_t num;              /* entries, a power of two; 0: not set up */
	uint64_t desc, avail, used; /* guest-physical */
	uint16_t last_avail;       /* next available entry, free-running */
	uint16_t used_idx;
	bool indirect;             /* VIRTIO_F_INDIRECT_DESC was negotiated */
	bool enabled;
	bool broken;
	const char *why;           /* what was wrong with it: a constant */
};

struct virtio_segment {
	uint8_t *bytes;            /* host address */
	uint64_t gpa;
	uint32_t count;
};

/* One request: first what the device reads, then what it writes. */
struct virtio_chain {
	uint16_t head;
	unsigned reads, writes;    /* segments */
	uint32_t read_bytes, write_bytes;
	struct virtio_segment segment[VIRTIO_SEGMENTS]; /* reads first */
};

/* The legacy layout: everything follows `base`, the used part at the next multiple of 4096.  A size that no queue
 * may have is found by the first take.  Queues are served while `enabled`, which is the transport's to set. */
void virtqueue_place(struct virtqueue *q, uint16_t num, uint64_t base);
/* Bytes that the legacy layout takes. */
uint64_t virtqueue_bytes(uint16_t num);
void virtqueue_reset(struct virtqueue *q); /* positions and errors; the place stays, not enabled */
/* Take the next request.  false: none (or the queue is broken). */
bool virtqueue_take(struct virtqueue *q, const struct virtio_memory *m, struct virtio_chain *chain);
/* Put the last request back: the next take finds it again (a receive queue whose frame did not come). */
void virtqueue_untake(struct virtqueue *q);
/* Done: `written` bytes were written to it.  true: the guest wants an interrupt. */
bool virtqueue_give(struct virtqueue *q, const struct virtio_memory *m, const struct virtio_chain *chain,
                    uint32_t written);
/* Copy out of the reads or into the writes of a chain, from byte `offset`; returns bytes copied. */
size_t chain_read(const struct virtio_chain *chain, size_t offset, void *to, size_t bytes);
size_t chain_write(const struct virtio_chain *chain, const struct virtio_memory *m, size_t offset,
                   const void *from, size_t bytes);

/* ---- 3. Devices ----------------------------------------------------------------------------- */

enum virtio_type { VIRTIO_NET = 1, VIRTIO_BLOCK = 2, VIRTIO_CONSOLE = 3, VIRTIO_ENTROPY = 4 };
enum { VIRTIO_F_INDIRECT_DESC = 28, VIRTIO_F_VERSION_1 = 32 };

/* Where requests differ: the headers of block and net (2.6.24 has its own). */
enum virtio_layout { VIRTIO_2_6_24, VIRTIO_LEGACY, VIRTIO_1_0 };

#define VIRTIO_QUEUES 3u
#define VIRTIO_CONFIG_BYTES 64u

struct virtio_device {
	const struct virtio_ops *ops;
	void *state;               /* the device's own */
	const struct virtio_memory *memory;
	enum virtio_layout layout;
	uint64_t offered, accepted; /* features */
	uint8_t config[VIRTIO_CONFIG_BYTES];
	unsigned config_bytes;
	unsigned queues;
	struct virtqueue queue[VIRTIO_QUEUES];
	bool started;              /* between features final and reset */
	bool busy;                 /* bounded work was left undone: poll again before sleeping */
	/* The transport's: the guest is to be told of queue `index`, or that the configuration changed. */
	void *transport;
	void (*interrupt)(void *transport, struct virtio_device *d, unsigned index);
	void (*config_changed)(void *transport, struct virtio_device *d);
};

struct virtio_ops {
	enum virtio_type type;
	const char *name;
	unsigned queues;
	void (*reset)(struct virtio_device *d);
	void (*start)(struct virtio_device *d);        /* features are final (may be NULL) */
	void (*notify)(struct virtio_device *d, unsigned queue); /* buffers were added; completes what it can now */
	/* The transport stored what the guest wrote in d->config; NULL: the guest writes nothing there. */
	void (*config_written)(struct virtio_device *d, unsigned offset, unsigned bytes);
	void (*poll)(struct virtio_device *d);         /* input may have come (may be NULL) */
	void (*free)(struct virtio_device *d);
};

/*
 * What a transport calls; each is safe at any time.  It may offer less than d->offered (and adds
 * VIRTIO_F_VERSION_1 itself), sets d->layout, places and enables the queues.
 */
/* Queues back to position 0 and disabled (their places stay), features none, requests under way dropped. */
void virtio_reset(struct virtio_device *d);
/* Features are final: `accepted`, of those offered. */
void virtio_start(struct virtio_device *d, uint64_t accepted);
/* Ignored before virtio_start() and for a queue that there is not. */
void virtio_notify(struct virtio_device *d, unsigned queue);
void virtio_poll(struct virtio_device *d);
/* Why a queue of it is broken: a constant; NULL: none is. */
const char *virtio_why_broken(const struct virtio_device *d);

struct disk_backend;
struct net_backend;
/* Each NULL: no memory.  The device owns its back end. */
struct virtio_device *virtio_console_new(const struct virtio_memory *m, void *user,
                                         size_t (*put)(void *user, const uint8_t *bytes, size_t count));
/* Input for the guest; returns how many bytes it took. */
size_t virtio_console_input(struct virtio_device *d, const uint8_t *bytes, size_t count);
/* Offer the terminal again what it did not take (a poll does; this serves no request). */
void virtio_console_flush(struct virtio_device *d);
void virtio_console_resize(struct virtio_device *d, uint16_t columns, uint16_t rows);
struct virtio_device *virtio_block_new(const struct virtio_memory *m, struct disk_backend *disk);
struct virtio_device *virtio_net_new(const struct virtio_memory *m, struct net_backend *net, const uint8_t mac[6]);
struct virtio_device *virtio_entropy_new(const struct virtio_memory *m,
                                         size_t (*fill)(void *user, uint8_t *bytes, size_t count), void *user);
void virtio_free(struct virtio_device *d);

/* ---- 4. Transports -------------------------------------------------------------------------- */

/* The lguest device page: one page of descriptors at `base` (the end of RAM), rings in the pages above. */
struct device_page;
struct device_page_config {
	const struct virtio_memory *memory;
	uint64_t base;             /* guest-physical, page-aligned */
	unsigned pages;            /* room, the descriptor page included (256) */
	bool format1;              /* 2.6.24's page */
	void *user;
	void (*raise)(void *user, unsigned irq); /* 1.. : one per queue, in order of creation */
	void (*kill)(void *user, const char *why); /* the guest broke the protocol (may be NULL: device stops) */
};
/* NULL: no memory, or `base` and `pages` are not page-aligned room in [0, 4 GiB) that `memory` has. */
struct device_page *device_page_new(const struct device_page_config *config);
void device_page_free(struct device_page *p); /* and the devices */
/* Devices first, then device_page_reset(): only that writes what the guest finds. */
bool device_page_add(struct device_page *p, struct virtio_device *d); /* false: no room; d is still the caller's */
/* Write descriptors and empty rings (at the start and at a restart). */
void device_page_reset(struct device_page *p);
/* End of the last page in use, guest-physical: the guest's page-number limit. */
uint64_t device_page_end(const struct device_page *p);
/* NOTIFY: true if `gpa` is a descriptor's or a queue's. */
bool device_page_notify(struct device_page *p, uint64_t gpa);
void device_page_poll(struct device_page *p);
bool device_page_busy(const struct device_page *p); /* work was left: poll again before sleeping */

/* Configuration mechanism 1 with virtio 1.0 devices behind it, as lguest of 4.x had it (host bridge in slot 0,
 * devices from slot 1, one 32-bit memory BAR each).  BARs lie in [mmio_first, mmio_end), from the start. */
struct virtio_pci;
struct virtio_pci_config {
	const struct virtio_memory *memory;
	uint64_t mmio_first, mmio_end;
	void *user;
	void (*raise)(void *user, unsigned irq); /* level; irq = 1.. per device */
};
struct virtio_pci *virtio_pci_new(const struct virtio_pci_config *config);
void virtio_pci_free(struct virtio_pci *p);
bool virtio_pci_add(struct virtio_pci *p, struct virtio_device *d);
void virtio_pci_reset(struct virtio_pci *p);
uint32_t virtio_pci_port_in(struct virtio_pci *p, uint16_t port, unsigned bytes);
void virtio_pci_port_out(struct virtio_pci *p, uint16_t port, unsigned bytes, uint32_t value);
/* true: the address is a BAR's. */
bool virtio_pci_read(struct virtio_pci *p, uint64_t gpa, unsigned bytes, uint64_t *value);
bool virtio_pci_write(struct virtio_pci *p, uint64_t gpa, unsigned bytes, uint64_t value);
void virtio_pci_poll(struct virtio_pci *p);
bool virtio_pci_busy(const struct virtio_pci *p); /* work was left: poll again before sleeping */

/* ---- 5. Back ends --------------------------------------------------------------------------- */

/* A disk image: raw file or block device.  Errors are errno values, 0: done. */
struct disk_backend {
	const struct disk_ops *ops;
	uint64_t bytes;            /* size, a multiple of 512 */
	bool read_only;
};
struct disk_ops {
	int (*read)(struct disk_backend *d, uint64_t at, void *to, size_t bytes);
	int (*write)(struct disk_backend *d, uint64_t at, const void *from, size_t bytes);
	int (*flush)(struct disk_backend *d);
	void (*free)(struct disk_backend *d);
};
/* NULL with *error (one line, names the file).  `snapshot`: writes stay in memory and go at the end, at most
 * DISK_SNAPSHOT_BYTES of them. */
struct disk_backend *disk_open_file(const char *path, bool read_only, bool snapshot, char *error, size_t room);
#define DISK_SNAPSHOT_BYTES (1ull << 30)

/* A network: frames out, frames in, and file descriptors that the loop waits for. */
struct pollfd;
struct net_backend {
	const struct net_ops *ops;
	void *user;                /* whoever receives */
	/* A frame for the guest; false: no room now, it is dropped. Set by the device. */
	bool (*receive)(void *user, const uint8_t *frame, size_t bytes);
};
#define NET_FRAME_MAX 1514u
struct net_ops {
	void (*send)(struct net_backend *n, const uint8_t *frame, size_t bytes);
	/* Append what to wait for, at most `room`; returns how many; lowers *timeout_ms. */
	unsigned (*fill)(struct net_backend *n, struct pollfd *fds, unsigned room, int *timeout_ms);
	void (*process)(struct net_backend *n, const struct pollfd *fds, unsigned count);
	void (*free)(struct net_backend *n);
};
/* User-mode network (libslirp): 10.0.2.0/24, gateway and DNS, forwarded ports "tcp:HOSTPORT-GUESTPORT".  NULL
 * with *error: no library on this host, or a bad specification. */
struct net_backend *net_open_user(const char *options, char *error, size_t room);

#endif
