using RefConv.Kernels;

namespace RefConv.Layers;

/// <summary>
/// A part of a network: parameters and buffers under names, and parts of its own. Names are PyTorch's, so that state dicts match key for key.
/// </summary>
/// <remarks>
/// A derived class registers everything it has with <c>Add</c> and reaches it again through <see cref="Child"/> and <see cref="Parameter"/>,
/// never through fields of its own: that is what lets <see cref="Clone"/> copy and <see cref="Replace"/> exchange parts of any model.
/// Fields may hold plain options only.
/// </remarks>
public abstract class Module : IDisposable
{
    private Dictionary<string, Module> _children = [];
    private Dictionary<string, Parameter> _parameters = [];
    private Module? _parent;
    private string _localName = "";
    private string? _name;

    /// <summary>Path inside the model: <c>features.0.0</c>; empty for the root.</summary>
    public string Name => _name ??= _parent is not { } parent ? "" : parent.Name.Length == 0 ? _localName : $"{parent.Name}.{_localName}";

    /// <summary>What it is a part of; null for the root.</summary>
    internal Module? Parent => _parent;

    /// <summary>Training mode: batch norms use the batch's statistics, dropout drops. A new module is in training mode, as in PyTorch.</summary>
    public bool Training { get; private set; } = true;

    /// <summary>Parts, in the order they were added.</summary>
    public IEnumerable<KeyValuePair<string, Module>> Children => _children;

    /// <summary>Computes the result under the current tape.</summary>
    public abstract Tensor Forward(Tensor x);

    /// <summary>Makes the module ready to answer: see <see cref="InferencePlan"/>. Faster than calling <see cref="Forward"/>, most of all for small batches.</summary>
    /// <param name="input">Shape of the input: a plan is for one batch size.</param>
    /// <param name="accuracy">What may be traded for speed.</param>
    /// <exception cref="InvalidOperationException">It is in training mode, or has no parameters.</exception>
    public InferencePlan Compile(Shape input, Conv2dAccuracy accuracy = Conv2dAccuracy.Fast)
    {
        foreach (var (name, module) in NamedModules())
        {
            if (module.Training) throw new InvalidOperationException($"Compile needs the model in evaluation mode, but {(name.Length == 0 ? "it" : $"'{name}'")} is in training mode. Call Eval() first.");
        }
        Device? device = null;
        foreach (var (_, parameter) in NamedParameters()) device ??= parameter.Device;
        if (device == null) throw new InvalidOperationException("A module without parameters runs on no device in particular; use InferencePlan.Compile.");
        return InferencePlan.Compile(device, input, Forward, accuracy);
    }

    /// <summary>This module and all below it with their paths, parents first.</summary>
    public IEnumerable<(string Name, Module Module)> NamedModules()
    {
        yield return (Name, this);
        foreach (var child in _children.Values)
        {
            foreach (var item in child.NamedModules()) yield return item;
        }
    }

    /// <summary>All parameters and buffers with their state-dict keys, in PyTorch's order.</summary>
    public IEnumerable<(string Name, Parameter Parameter)> NamedParameters()
    {
        string prefix = Name.Length == 0 ? "" : Name + ".";
        foreach (var (name, parameter) in _parameters) yield return (prefix + name, parameter);
        foreach (var child in _children.Values)
        {
            foreach (var item in child.NamedParameters()) yield return item;
        }
    }

    /// <summary>Parameters an optimiser should train.</summary>
    public IEnumerable<Parameter> TrainableParameters() => NamedParameters().Select(p => p.Parameter).Where(p => p.Trainable);

    /// <summary>Number of weights: everything PyTorch counts as a parameter, frozen ones included, buffers (statistics) not.</summary>
    public long ParameterCount() => NamedModules().Sum(m => m.Module._parameters.Where(p => !m.Module.IsBuffer(p.Key)).Sum(p => p.Value.Data.Length));

    /// <summary>Switches this module and all below it to training mode.</summary>
    public Module Train() => SetTraining(true);

    /// <summary>Switches this module and all below it to evaluation mode.</summary>
    public Module Eval() => SetTraining(false);

    /// <summary>Forgets all gradients.</summary>
    public void ZeroGrad()
    {
        foreach (var (_, parameter) in NamedParameters()) parameter.ZeroGrad();
    }

    /// <summary>The module at a path below this one.</summary>
    /// <exception cref="KeyNotFoundException">There is none; the message lists what is there.</exception>
    public Module Find(string path)
    {
        var module = this;
        foreach (string part in path.Split('.'))
        {
            if (!module._children.TryGetValue(part, out var child))
                throw new KeyNotFoundException($"No module '{path}': '{module.Name}' has {(module._children.Count == 0 ? "no parts" : string.Join(", ", module._children.Keys))}.");
            module = child;
        }
        return module;
    }

    /// <summary>Puts another module in the place of the one at a path. The old one is returned, still whole.</summary>
    public Module Replace(string path, Module replacement)
    {
        int dot = path.LastIndexOf('.');
        var parent = dot < 0 ? this : Find(path[..dot]);
        string local = path[(dot + 1)..];
        var old = parent.Child(local);
        old._parent = null;
        old.ForgetNames();
        parent._children[local] = replacement;
        replacement._parent = parent;
        replacement._localName = local;
        replacement.ForgetNames();
        replacement.SetTraining(parent.Training);
        return old;
    }

    /// <summary>A deep copy: same structure, parameters with memory of their own, no gradients.</summary>
    public Module Clone()
    {
        var copy = (Module)MemberwiseClone();
        copy._parent = null;
        copy._localName = "";
        copy._name = null;
        copy._parameters = _parameters.ToDictionary(p => p.Key, p => p.Value.Clone());
        copy._children = [];
        foreach (var (name, child) in _children)
        {
            var childCopy = child.Clone();
            childCopy._parent = copy;
            childCopy._localName = name;
            copy._children[name] = childCopy;
        }
        copy.OnCloned();
        return copy;
    }

    /// <summary>Gives the memory of all parameters back at once. Not required: the finalisers would do it.</summary>
    public void Dispose()
    {
        Dispose(true);
        GC.SuppressFinalize(this);
    }

    /// <inheritdoc/>
    public override string ToString() => Name.Length == 0 ? GetType().Name : $"{GetType().Name} '{Name}'";

    /// <summary>Registers a part.</summary>
    protected T Add<T>(string name, T child) where T : Module
    {
        _children.Add(name, child);
        child._parent = this;
        child._localName = name;
        child.ForgetNames();
        return child;
    }

    /// <summary>Registers a parameter or buffer under its state-dict key.</summary>
    protected Parameter Add(string name, Parameter parameter)
    {
        _parameters.Add(name, parameter);
        return parameter;
    }

    /// <summary>Takes a part out and returns it, still whole.</summary>
    private protected Module Remove(string name)
    {
        var old = Child(name);
        _children.Remove(name);
        old._parent = null;
        old.ForgetNames();
        return old;
    }

    /// <summary>The part of this name.</summary>
    protected Module Child(string name) => _children.TryGetValue(name, out var child)
        ? child
        : throw new KeyNotFoundException($"{this} has no part '{name}', only {string.Join(", ", _children.Keys)}.");

    /// <summary>The parameter of this name, or null.</summary>
    protected Parameter? Optional(string name) => _parameters.GetValueOrDefault(name);

    /// <summary>The parameter of this name.</summary>
    protected Parameter Parameter(string name) => _parameters[name];

    /// <summary>Says which registered tensors are state but no weights (running statistics): PyTorch's buffers.</summary>
    protected virtual bool IsBuffer(string name) => false;

    /// <summary>Called on the copy after <see cref="Clone"/>: forget caches that the original owns.</summary>
    protected virtual void OnCloned()
    {
    }

    /// <summary>Gives memory back.</summary>
    protected virtual void Dispose(bool disposing)
    {
        if (!disposing) return;
        foreach (var parameter in _parameters.Values) parameter.Dispose();
        foreach (var child in _children.Values) child.Dispose();
    }

    private Module SetTraining(bool training)
    {
        Training = training;
        foreach (var child in _children.Values) child.SetTraining(training);
        return this;
    }

    private void ForgetNames()
    {
        _name = null;
        foreach (var child in _children.Values) child.ForgetNames();
    }
}
