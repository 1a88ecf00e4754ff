// Asynchronous parameter servers with one std::priority_queue and one event a task: what the compiled engine is
// held against. Reads workers, servers and iterations from its arguments, then seconds of compute by worker and
// iteration (float64) from standard input; prints the makespan, the tasks and the seconds that the loop took.
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <queue>
#include <vector>

struct Event {
  double time;
  long order;
  int task;  // below 0: the compute of worker -1 - task
};

struct Later {
  bool operator()(const Event& a, const Event& b) const {
    return a.time > b.time || (a.time == b.time && a.order > b.order);
  }
};

struct Resource {
  bool busy = false;
  int first = -1, last = -1;
};

int main(int argc, char** argv) {
  if (argc != 6) return 2;
  const int workers = std::atoi(argv[1]), servers = std::atoi(argv[2]), iterations = std::atoi(argv[3]);
  const double message = std::atof(argv[4]), apply = std::atof(argv[5]);
  std::vector<double> compute((size_t)workers * iterations);
  if (std::fread(compute.data(), sizeof(double), compute.size(), stdin) != compute.size()) return 2;

  const auto begun = std::chrono::steady_clock::now();
  // By worker and server five hops: worker up, server down, server CPU, server up, worker down.
  const int hops = 5, tasks = workers * servers * hops;
  std::vector<Resource> resources(2 * workers + 3 * servers);
  std::vector<int> next(tasks), resource_of(tasks), done(workers, 0), left(workers, 0);
  for (int w = 0; w < workers; w++)
    for (int s = 0; s < servers; s++) {
      const int first = (w * servers + s) * hops, server = 2 * workers + 3 * s;
      const int on[hops] = {w, server, server + 1, server + 2, workers + w};
      for (int hop = 0; hop < hops; hop++) resource_of[first + hop] = on[hop];
    }
  std::priority_queue<Event, std::vector<Event>, Later> events;
  long order = 0;
  double makespan = 0;
  auto arrive = [&](double now, int task) {
    Resource& r = resources[resource_of[task]];
    if (!r.busy) {
      r.busy = true;
      events.push({now + (task % hops == 2 ? apply : message), order++, task});
      return;
    }
    next[task] = -1;
    (r.first < 0 ? r.first : next[r.last]) = task;
    r.last = task;
  };
  for (int w = 0; w < workers; w++) events.push({compute[(size_t)w * iterations], order++, -1 - w});
  while (!events.empty()) {
    const Event event = events.top();
    events.pop();
    const double now = event.time;
    if (event.task < 0) {
      const int w = -1 - event.task;
      done[w]++;
      left[w] = servers;
      for (int s = 0; s < servers; s++) arrive(now, (w * servers + s) * hops);
      continue;
    }
    Resource& r = resources[resource_of[event.task]];
    if (r.first >= 0) {
      const int task = r.first;
      r.first = next[task];
      events.push({now + (task % hops == 2 ? apply : message), order++, task});
    } else {
      r.busy = false;
    }
    if (event.task % hops < hops - 1) {
      arrive(now, event.task + 1);
      continue;
    }
    const int w = event.task / (hops * servers);
    if (--left[w] > 0) continue;
    if (done[w] < iterations)
      events.push({now + compute[(size_t)w * iterations + done[w]], order++, -1 - w});
    else if (now > makespan)
      makespan = now;
  }
  const std::chrono::duration<double> took = std::chrono::steady_clock::now() - begun;
  std::printf("%.17g %ld %.9f\n", makespan, order, took.count());
}
