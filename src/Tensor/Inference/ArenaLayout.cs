using RefConv.Kernels;

namespace RefConv;

/// <summary>
/// Where the intermediate results of a plan lie in one block of memory: two that are never needed at the same time may share a place. The largest
/// are placed first, each as low as the others allow.
/// </summary>
internal sealed class ArenaLayout
{
    /// <summary>Places begin at whole cache lines, and lie a line apart: kernels may read a vector beyond the end of what they are given.</summary>
    private const int Line = 16;

    private readonly List<Place> _places = [];
    private readonly Dictionary<Tensor, Place> _placeOf = [];

    public ArenaLayout(PlanBuilder plan)
    {
        _placeOf[plan.Input] = new Place { IsInput = true };
        var views = plan.Views.ToLookup(v => v.Of, v => v.View);
        AddViews(plan.Input, views);
        var lastRead = LastReads(plan);
        for (int i = 0; i < plan.Steps.Count; i++)
        {
            var step = plan.Steps[i];
            var place = Overwritten(step, i, lastRead);
            if (place == null) _places.Add(place = new Place { Length = step.Output.Shape.Count, First = i });
            _placeOf[step.Output] = place;
            place.Tensors.Add(step.Output);
            AddViews(step.Output, views);
        }
        foreach (var place in _places) place.Last = place.Tensors.Max(t => lastRead.GetValueOrDefault(t, place.First));
        foreach (var place in _places.OrderByDescending(p => p.Length).ThenBy(p => p.First)) Length = Math.Max(Length, Put(place));
    }

    /// <summary>Elements of the whole block.</summary>
    public long Length { get; private set; }

    /// <summary>The input, and views of it: where they lie is known when the plan runs.</summary>
    public IReadOnlyList<Tensor> InputAliases => [.. _placeOf.Where(p => p.Value.IsInput).Select(p => p.Key)];

    /// <summary>Points every intermediate result to its place.</summary>
    public void Assign(BufferView arena)
    {
        foreach (var (tensor, place) in _placeOf)
        {
            if (!place.IsInput) tensor.Data = arena.Slice(place.Offset, place.Length);
        }
    }

    /// <summary>The place of an operand that the step may write its result over: nobody reads it later, and the step itself reads it once only.</summary>
    private Place? Overwritten(PlanStep step, int index, Dictionary<Tensor, int> lastRead)
    {
        if (step.MayOverwrite is not { } tensor || _placeOf[tensor] is not { IsInput: false } place || place.Length != step.Output.Shape.Count) return null;
        bool readLater = place.Tensors.Any(t => lastRead.GetValueOrDefault(t, -1) > index);
        return readLater || step.Reads.Count(t => _placeOf[t] == place) > 1 ? null : place;
    }

    /// <summary>The last step that reads a tensor; the plan's output is read after all of them.</summary>
    private static Dictionary<Tensor, int> LastReads(PlanBuilder plan)
    {
        var last = new Dictionary<Tensor, int>();
        for (int i = 0; i < plan.Steps.Count; i++)
        {
            foreach (var tensor in plan.Steps[i].Reads) last[tensor] = i;
        }
        last[plan.Output] = int.MaxValue;
        return last;
    }

    private void AddViews(Tensor tensor, ILookup<Tensor, Tensor> views)
    {
        foreach (var view in views[tensor])
        {
            _placeOf[view] = _placeOf[tensor];
            _placeOf[tensor].Tensors.Add(view);
            AddViews(view, views);
        }
    }

    /// <summary>Finds the lowest offset that is free for as long as the place is needed; the end of it.</summary>
    private long Put(Place place)
    {
        long offset = 0;
        foreach (var other in _places.Where(o => o.Offset >= 0 && o.First <= place.Last && place.First <= o.Last).OrderBy(o => o.Offset))
        {
            if (offset + place.Length + Line <= other.Offset) break;
            offset = Math.Max(offset, (other.Offset + other.Length + (2 * Line) - 1) / Line * Line);
        }
        place.Offset = offset;
        return offset + place.Length;
    }

    private sealed class Place
    {
        public long Offset { get; set; } = -1;

        public long Length { get; init; }

        /// <summary>The step that writes it first, and the last that reads it.</summary>
        public int First { get; init; }

        public int Last { get; set; }

        public bool IsInput { get; init; }

        /// <summary>What lies there, one after the other, and views of it.</summary>
        public List<Tensor> Tensors { get; } = [];
    }
}
