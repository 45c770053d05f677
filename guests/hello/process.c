/* SPDX-License-Identifier: MIT */
/*
 * guests/hello/process.c - processes: starting, switching, waiting, ending; their system calls.
 *
 *   1. The table
 *   2. Switching     round robin among those that are ready
 *   3. Starting      a fresh process, a copy of one
 *   4. Ending        and waiting for it
 *   5. Calls
 *
 * The kernel runs with interrupts off except in idle(), so nothing here needs a lock.
 */
#include "guests/hello/hello.h"
#include "guests/hello/syscall.h"

void switch_stacks(uint32_t *save, uint32_t load);
extern const char trap_return[];

/* ---- 1. The table --------------------------------------------------------------------------- */

struct process processes[PROCESSES];
struct process *current = &processes[0];

void processes_start(void)
{
	processes[0].state = STATE_READY;
	processes[0].directory = 0; /* no user half of its own */
}

static struct process *find_free(void)
{
	for (unsigned i = 1; i < PROCESSES; i++)
		if (processes[i].state == STATE_FREE)
			return &processes[i];
	return NULL;
}

/* ---- 2. Switching --------------------------------------------------------------------------- */

static void switch_to(struct process *next)
{
	struct process *last = current;

	if (next == last)
		return;
	current = next;
	set_kernel_stack(next->stack + PAGE);
	write_cr3(next->directory ? next->directory : kernel_directory());
	switch_stacks(&last->esp, next->esp);
}

void schedule(void)
{
	unsigned from = (unsigned)(current - processes);

	for (unsigned i = 1; i <= PROCESSES; i++) {
		struct process *p = &processes[(from + i) % PROCESSES];

		if (p->state == STATE_READY) {
			switch_to(p);
			return;
		}
	}
}

/* Only the kernel's own thread calls this: it is always ready, so somebody always is. */
void idle(void)
{
	for (unsigned i = 1; i < PROCESSES; i++)
		if (processes[i].state == STATE_READY) {
			schedule();
			return;
		}
	__asm__ volatile("sti; hlt; cli"); /* no interrupt can slip in between STI and HLT */
}

void processes_tick(bool from_user)
{
	current->ticks++;
	for (unsigned i = 1; i < PROCESSES; i++)
		if (processes[i].state == STATE_ASLEEP && (int32_t)(ticks - processes[i].wake) >= 0)
			processes[i].state = STATE_READY;
	if (from_user)
		schedule();
}

/* ---- 3. Starting ---------------------------------------------------------------------------- */

/* Its kernel stack looks as if it had trapped from ring 3 with `frame` and then been switched away.
 */
static struct process *make_process(uint32_t directory, const struct trap_frame *frame)
{
	static unsigned last_pid;
	struct process *p = find_free();
	uint32_t *top;

	if (!p || !directory)
		return NULL;
	*p = (struct process){.pid = ++last_pid, .parent = current->pid, .directory = directory};
	p->stack = take_frame();
	if (!p->stack)
		return NULL;
	memcpy((void *)(p->stack + PAGE - sizeof(*frame)), frame, sizeof(*frame));
	top = (uint32_t *)(p->stack + PAGE - sizeof(*frame));
	*--top = (uint32_t)trap_return; /* where switch_stacks() returns to */
	top -= 4;                       /* and the registers it restores */
	p->esp = (uint32_t)top;
	p->state = STATE_READY;
	return p;
}

struct process *start_process(uint32_t argument)
{
	struct trap_frame frame = {.ds = USER_DATA,
				   .es = USER_DATA,
				   .eax = argument,
				   .eip = USER_BASE,
				   .cs = USER_CODE,
				   .eflags = 0x202, /* interrupts on */
				   .esp = USER_TOP - 16,
				   .ss = USER_DATA};
	uint32_t directory = new_directory();
	struct process *p = make_process(directory, &frame);

	if (!p && directory)
		free_directory(directory);
	return p;
}

static int fork(const struct trap_frame *f)
{
	struct trap_frame frame = *f;
	uint32_t directory = copy_directory(current->directory);
	struct process *p;

	frame.eax = 0;
	p = make_process(directory, &frame);
	if (!p && directory)
		free_directory(directory);
	return p ? (int)p->pid : -1;
}

/* ---- 4. Ending ------------------------------------------------------------------------------ */

static void bury(struct process *p)
{
	free_directory(p->directory);
	release_frame(p->stack);
	p->state = STATE_FREE;
}

void end_current(int status)
{
	current->status = status;
	current->state = STATE_ENDED;
	for (unsigned i = 1; i < PROCESSES; i++)
		if (processes[i].state == STATE_WAITING && processes[i].pid == current->parent)
			processes[i].state = STATE_READY;
	schedule(); /* never comes back; its parent or the kernel frees what it had */
}

int wait_for(struct process *p)
{
	int status;

	while (p->state != STATE_ENDED)
		idle();
	status = p->status;
	bury(p);
	return status;
}

static int wait_for_child(void)
{
	for (;;) {
		bool any = false;

		for (unsigned i = 1; i < PROCESSES; i++) {
			struct process *p = &processes[i];

			if (p->state == STATE_FREE || p->parent != current->pid)
				continue;
			any = true;
			if (p->state == STATE_ENDED) {
				bury(p);
				return p->status;
			}
		}
		if (!any)
			return -1;
		current->state = STATE_WAITING;
		schedule();
	}
}

/* ---- 5. Calls ------------------------------------------------------------------------------- */

/* A string from ring 3, cut to fit.  Its pages may be absent: reading faults them in. */
static void copy_text(char *to, size_t room, uint32_t from)
{
	size_t n = 0;

	while (n + 1 < room && is_user_range(from + n, 1) && ((const char *)from)[n]) {
		to[n] = ((const char *)from)[n];
		n++;
	}
	to[n] = 0;
}

void system_call(struct trap_frame *f)
{
	char text[80];

	switch ((enum system_call)f->eax) {
	case CALL_EXIT:
		end_current((int)f->ebx);
		break;
	case CALL_WRITE:
		if (!is_user_range(f->ebx, f->ecx)) {
			f->eax = (uint32_t)-1;
			break;
		}
		for (uint32_t i = 0; i < f->ecx; i++)
			put(((const char *)f->ebx)[i]);
		f->eax = f->ecx;
		break;
	case CALL_PID:
		f->eax = current->pid;
		break;
	case CALL_FORK:
		f->eax = (uint32_t)fork(f);
		break;
	case CALL_SLEEP:
		current->wake = ticks + f->ebx;
		current->state = STATE_ASLEEP;
		schedule();
		break;
	case CALL_WAIT:
		f->eax = (uint32_t)wait_for_child();
		break;
	case CALL_REPORT:
		copy_text(text, sizeof(text), f->ebx);
		report(text, f->ecx);
		break;
	case CALL_RECOVER:
		current->recover = f->ebx;
		break;
	default:
		f->eax = (uint32_t)-1;
		break;
	}
}
